"""Golden records: of each cluster the values that hold."""
