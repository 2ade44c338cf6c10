"""Runs: a job compares the datasets, and what it found is merged into the matches."""
