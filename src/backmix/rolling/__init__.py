"""Training again as time goes on: champion and challengers round by round, and backtests fold by fold."""
