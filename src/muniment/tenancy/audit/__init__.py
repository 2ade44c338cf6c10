"""The audit log: who did what to what, from where; entries are added and never changed."""
