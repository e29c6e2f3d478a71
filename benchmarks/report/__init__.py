"""The leaderboard: pure functions of data frames."""
