"""The report: what became of everything, in numbers."""
