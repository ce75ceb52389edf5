"""Models that are kept up to date: a champion in charge, and challengers round by round."""
