"""Helpers of all parts: errors, files, interrupts, hardware, random streams."""
