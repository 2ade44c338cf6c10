"""What came of matching files, as files and as a summary, without a database."""
