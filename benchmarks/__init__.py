"""The harness: tasks, data, rollouts, jobs and the leaderboard."""
