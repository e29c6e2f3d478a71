"""One training and its evaluations: jobs, their plan, the store, and the work itself."""
