"""Pages for people: signing in and up, passwords, invitations, and one's account."""
