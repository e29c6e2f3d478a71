"""One training and its evaluations: jobs, the plan, the store, the worker process."""
