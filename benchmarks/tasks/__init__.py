"""The tasks, and the suites of tasks and cost limits."""
