"""Where jobs run: the same jobs, different machines."""
