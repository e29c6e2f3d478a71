"""Loads stored runs as data frames, and writes leaderboards."""
