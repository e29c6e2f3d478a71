"""Wrappers around osrl's algorithms that also make them faster."""
