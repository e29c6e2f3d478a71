"""Timing of this suite against its reference, osrl; not part of the tests."""
