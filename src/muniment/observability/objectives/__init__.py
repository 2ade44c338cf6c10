"""Objectives: what was promised, counted as it happens, and how far it is kept."""
