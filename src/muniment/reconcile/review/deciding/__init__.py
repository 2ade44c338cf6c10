"""Deciding upon matches: all or nothing, on the versions that were seen."""
