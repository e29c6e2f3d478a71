"""The rivals of GAS: one file a method."""
