"""The stages for money: what settles what."""
