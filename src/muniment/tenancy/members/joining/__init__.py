"""Becoming a member: by an invitation, or by founding an organization."""
