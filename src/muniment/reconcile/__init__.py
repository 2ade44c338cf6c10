"""Reconciliation: which records of two datasets belong together, and why."""
