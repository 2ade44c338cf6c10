"""What columns are: their types, roles and formats, told from headers and values."""
