"""Rules of the house that no linter knows, each a small program with a test of its own."""
