"""Results as files: matches, what needs review, what has no match, golden records."""
