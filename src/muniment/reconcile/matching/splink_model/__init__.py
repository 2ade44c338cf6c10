"""Records compared by Splink, with a model that somebody has trained or written."""
