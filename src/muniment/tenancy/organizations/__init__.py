"""The caller's own organization, and who the caller is in it."""
