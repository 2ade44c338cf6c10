"""Search: candidates from an index, fused, read under row security, and shown with evidence."""
