"""API keys: made, shown once, listed, rotated and revoked."""
