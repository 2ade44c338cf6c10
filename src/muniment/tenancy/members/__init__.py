"""Members, the workspaces they work in, and invitations to become one."""
