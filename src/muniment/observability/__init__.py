"""Logs, metrics, request records and health: how one sees what a process is doing."""
