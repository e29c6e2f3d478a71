"""Offline data: the container, batches, generated and published sets."""
