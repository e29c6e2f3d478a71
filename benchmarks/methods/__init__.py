"""The contract of a method, and what finds, configures, stacks and checks methods."""
