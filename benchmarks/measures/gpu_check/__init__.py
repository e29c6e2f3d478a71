"""Checks a machine with a GPU: tests, speed, waits for the GPU, and a long training, in minutes."""
