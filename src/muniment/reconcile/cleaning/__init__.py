"""From the cells of a source to clean, typed values, with an account of what was changed."""
