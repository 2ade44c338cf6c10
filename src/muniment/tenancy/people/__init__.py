"""People: users and their passwords, sign-up, sign-in, sessions and mail."""
