"""The tasks' simulators: single ones, and many that advance in step."""
