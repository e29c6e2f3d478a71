"""The tasks, and the suites that choose tasks and cost limits."""
