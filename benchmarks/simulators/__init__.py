"""The tasks' simulators, one at a time or many in step."""
