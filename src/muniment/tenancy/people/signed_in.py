"""What a client is told of who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from muniment.db import Database, OrgId, UserId, load_statements
from muniment.tenancy.errors import SessionEnded
from muniment.tenancy.people.csrf import csrf_token
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.schemas import SignedIn, User, UserOrganization
from muniment.tenancy.people.sessions import NewSession, SessionTerms
from muniment.tenancy.people.users import Membership, memberships_of

_statements = load_statements("muniment.tenancy.people")


@dataclass(frozen=True, slots=True)
class Client:
    """The browser or program that somebody signs in with."""

    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """Somebody who has just been signed in, and the session with its token."""

    user_id: UserId
    email: str
    name: str
    memberships: list[Membership]
    org_id: OrgId | None
    """The organization that the session works in."""
    session: NewSession

    def told(self) -> SignedIn:
        """Return what the client is told; the token travels in a cookie only."""
        return _told(
            User(self.user_id, self.email, self.name),
            self.memberships,
            self.org_id,
            self.session.csrf_token,
            self.session.expires_at,
        )


async def describe_session(database: Database, person: Person, terms: SessionTerms) -> SignedIn:
    """Return what the client of a running session is told, in two statements.

    Raises:
        SessionEnded: it was ended a moment ago.
    """
    async with database.person(person.user_id) as work:
        state = await _statements.session_state(
            work, user_id=person.user_id, session_id=person.session_id
        )
        memberships = await memberships_of(work)
    if state is None:
        raise SessionEnded
    return _told(
        User(person.user_id, person.email, person.name),
        memberships,
        state["org_id"],
        csrf_token(terms.secret, person.token_hash),
        state["expires_at"],
    )


def _told(
    user: User,
    memberships: list[Membership],
    org_id: OrgId | None,
    token: str,
    expires_at: datetime,
) -> SignedIn:
    organizations = [UserOrganization(one.org_id, one.name, one.role) for one in memberships]
    # Whoever was removed from an organization has no current one until they switch.
    current = next((one for one in organizations if one.id == org_id), None)
    return SignedIn(user, current, organizations, token, expires_at)
