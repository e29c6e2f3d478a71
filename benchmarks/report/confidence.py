"""From which probability on a method is recommended, known without importing what computes it."""

CONFIDENCE = 0.9
"""Smallest probability that a new training keeps the limit, unless the user asks for another."""
