"""People look at matches and decide."""
