"""Organizations, workspaces, API keys, and the boundary that says who is asking."""
