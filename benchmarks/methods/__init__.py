"""The contract of a method; finding, configuring, stacking and checking methods."""
