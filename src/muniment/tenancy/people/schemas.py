"""People, sessions and passwords as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from muniment.db import Role

Email = Annotated[str, Meta(min_length=1, max_length=254, examples=["ada@example.com"])]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Password = Annotated[str, Meta(max_length=1024, description="Of 10 characters or more.")]
GivenPassword = Annotated[str, Meta(max_length=1024)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]


class SignUp(Struct, forbid_unknown_fields=True):
    """Somebody new, and the organization that they begin."""

    email: Email
    password: Password
    name: Name
    organization: Annotated[Name, Meta(description="Name of the new organization.")]


class SignIn(Struct, forbid_unknown_fields=True):
    """Somebody who comes back."""

    email: Email
    password: GivenPassword
    organization_id: Annotated[
        UUID | None, Meta(description="Organization to work in; the oldest one if left out.")
    ] = None


class User(Struct, frozen=True):
    """A person."""

    id: UUID
    email: str
    name: str


class UserOrganization(Struct, frozen=True):
    """An organization that the person belongs to."""

    id: UUID
    name: str
    role: Role


class SignedIn(Struct, frozen=True):
    """Who is signed in, and where they work at the moment."""

    user: User
    organization: UserOrganization | None
    organizations: list[UserOrganization]
    csrf_token: Annotated[
        str, Meta(description="For the header `X-CSRF-Token` of every request that changes things.")
    ]
    expires_at: datetime


class SwitchOrganization(Struct, forbid_unknown_fields=True):
    """Where the session is to work from now on."""

    organization_id: UUID


class ChangePassword(Struct, forbid_unknown_fields=True):
    """A new password, and the one that proves that it may be set."""

    current_password: GivenPassword
    new_password: Password


class RequestReset(Struct, forbid_unknown_fields=True):
    """The account whose password was forgotten."""

    email: Email


class CompleteReset(Struct, forbid_unknown_fields=True):
    """A new password, and the token of the link that proves that it may be set."""

    token: Token
    password: Password


class ChangeUser(Struct, forbid_unknown_fields=True):
    """What a person changes about themselves."""

    name: Name
