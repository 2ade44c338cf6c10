"""Single sign-on: people whom an OpenID provider vouches for (OpenID Connect Core 1.0)."""
