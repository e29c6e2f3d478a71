"""The leaderboard: pure functions of one frame of evaluated episodes."""
