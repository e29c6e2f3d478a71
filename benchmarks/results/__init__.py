"""From the store of runs to data frames, and back."""
