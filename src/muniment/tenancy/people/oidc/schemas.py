"""Ways to sign in, as clients see them."""

from __future__ import annotations

from msgspec import Struct


class SingleSignOn(Struct, frozen=True):
    """The identity provider that people may sign in with."""

    name: str
    url: str


class SignInMethods(Struct, frozen=True):
    """How people can come in."""

    sign_up: bool
    single_sign_on: SingleSignOn | None
