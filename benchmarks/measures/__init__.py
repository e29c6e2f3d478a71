"""How fast the suite is beside its reference, osrl: measured, never part of the tests."""
