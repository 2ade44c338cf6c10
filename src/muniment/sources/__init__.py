"""Connectors and the engine that keeps documents in step with their sources."""
