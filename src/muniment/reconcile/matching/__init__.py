"""Finding matches: by exact keys, by amounts, and by the likeness of records."""
