"""Reconciliations: made, shown, renamed, deleted, and their rules."""
