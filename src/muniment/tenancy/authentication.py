"""The authentication boundary: the only place, besides the worker, that mints a scope.

What it needs to know of a caller is cached: keys, sessions, memberships and organizations are
entries of their own, so that a change of one makes only that one stale, in every process, when
the change commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from muniment.cache import Cache, Namespace
from muniment.db import (
    Database,
    OrgId,
    Role,
    TenantScope,
    UserId,
    WorkspaceId,
    load_statements,
)
from muniment.tenancy.errors import (
    InvalidCredentials,
    MissingCredentials,
    NoOrganization,
    OrganizationNotFound,
    OrganizationSuspended,
    SessionEnded,
)
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.touches import Touches
from muniment.tenancy.secrets import hash_of
from muniment.tier_settings import TierName

statements = load_statements("muniment.tenancy")


class CachedKey(msgspec.Struct, frozen=True):
    """What a key allows."""

    org_id: UUID
    api_key_id: UUID
    role: Role
    workspace_id: UUID | None
    expires_at: datetime | None
    requests_per_minute: int | None


class CachedSession(msgspec.Struct, frozen=True):
    """Whose session it is, and how long it lasts."""

    user_id: UUID
    session_id: UUID
    org_id: UUID | None
    email: str
    name: str
    last_seen_at: datetime
    expires_at: datetime


class CachedOrganization(msgspec.Struct, frozen=True):
    """How an organization stands."""

    name: str
    tier: TierName
    suspended: bool


class CachedMember(msgspec.Struct, frozen=True):
    """What a person may do in an organization."""

    role: Role
    workspace_roles: dict[UUID, Role]


KEYS = Namespace("api_keys", CachedKey, ttl=timedelta(minutes=5))
SESSIONS = Namespace("sessions", CachedSession, ttl=timedelta(minutes=5))
ORGANIZATIONS = Namespace("organizations", CachedOrganization, ttl=timedelta(hours=1))
MEMBERS = Namespace("members", CachedMember, ttl=timedelta(minutes=5))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for which organization, and how that one stands."""

    tenant: TenantScope
    organization: CachedOrganization
    api_key_id: UUID | None = None
    requests_per_minute: int | None = None
    """The key's own limit, if it has one."""
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Finds out who asks."""

    database: Database
    cache: Cache
    touches: Touches
    """Collects which keys and sessions were used."""
    idle: timedelta
    """Time without a request after which a session ends."""

    async def by_key(self, authorization: str, address: str | None = None) -> Caller:
        """Return the caller of an ``Authorization`` header.

        Raises:
            MissingCredentials: it holds no bearer key.
            InvalidCredentials: the key is unknown, revoked or expired.
            OrganizationSuspended: the operator has closed the organization.
        """
        scheme, _, secret = authorization.strip().partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise MissingCredentials
        digest = hash_of(secret)
        key = await self.cache.get(
            KEYS, digest.hex(), "", lambda: self._load_key(digest), tags=("key",)
        )
        if key is None:
            raise InvalidCredentials
        if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
            raise InvalidCredentials(f"This API key has expired on {key.expires_at:%Y-%m-%d}.")
        tenant = TenantScope(
            OrgId(key.org_id),
            None if key.workspace_id is None else WorkspaceId(key.workspace_id),
            f"api_key:{key.api_key_id}",
            key.role,
            address=address,
        )
        organization = await self._organization(tenant)
        self.touches.api_key(key.api_key_id)
        return Caller(tenant, organization, key.api_key_id, key.requests_per_minute)

    async def person(self, token: str, address: str | None = None) -> Person:
        """Return the person of a session cookie.

        Raises:
            SessionEnded: the session is unknown, was ended, or has expired.
        """
        digest = hash_of(token)
        session = await self.cache.get(
            SESSIONS, digest.hex(), "", lambda: self._load_session(digest), tags=("session",)
        )
        now = datetime.now(UTC)
        if session is None or session.expires_at <= now:
            raise SessionEnded
        if session.last_seen_at + self.idle <= now:
            raise SessionEnded
        self.touches.session(digest)
        return Person(
            user_id=UserId(session.user_id),
            session_id=session.session_id,
            token_hash=digest,
            email=session.email,
            name=session.name,
            org_id=None if session.org_id is None else OrgId(session.org_id),
            address=address,
        )

    async def member(self, person: Person) -> Caller:
        """Return a person as a member of the organization that the session is in.

        Raises:
            NoOrganization: the session is in none, or the person is no member any more.
            OrganizationSuspended: the operator has closed the organization.
        """
        if person.org_id is None:
            raise NoOrganization
        actor = f"user:{person.user_id}"
        # Whatever the person may do is not known yet; nothing is read but the membership.
        entering = TenantScope(person.org_id, None, actor, Role.VIEWER)
        member = await self.cache.get(
            MEMBERS,
            person.org_id.hex,
            person.user_id.hex,
            lambda: self._load_member(entering, person.user_id),
            tags=(f"member-{person.user_id.hex}",),
        )
        if member is None:
            raise NoOrganization
        tenant = TenantScope(
            person.org_id,
            None,
            actor,
            member.role,
            user_id=person.user_id,
            workspace_roles={
                WorkspaceId(key): role for key, role in member.workspace_roles.items()
            },
            address=person.address,
        )
        return Caller(tenant, await self._organization(tenant), person=person)

    async def _organization(self, tenant: TenantScope) -> CachedOrganization:
        found = await self.cache.get(
            ORGANIZATIONS,
            tenant.org_id.hex,
            "",
            lambda: self._load_organization(tenant),
            tags=("organization",),
        )
        if found is None:
            raise InvalidCredentials
        if found.suspended:
            raise OrganizationSuspended
        return found

    async def _load_key(self, digest: bytes) -> CachedKey | None:
        async with self.database.single_statement() as work:
            row = await statements.api_key_of_caller(work, hash=digest)
        return None if row is None else msgspec.convert(dict(row), CachedKey)

    async def _load_session(self, digest: bytes) -> CachedSession | None:
        async with self.database.single_statement() as work:
            row = await statements.session_of_caller(work, hash=digest)
        return None if row is None else msgspec.convert(dict(row), CachedSession)

    async def _load_member(self, tenant: TenantScope, user_id: UserId) -> CachedMember | None:
        async with self.database.unit_of_work(tenant, read_only=True) as work:
            row = await statements.member_of_caller(work, user_id=user_id)
        return None if row is None else msgspec.convert(dict(row), CachedMember)

    async def _load_organization(self, tenant: TenantScope) -> CachedOrganization | None:
        async with self.database.unit_of_work(tenant, read_only=True) as work:
            row = await statements.organization_of_caller(work)
        return None if row is None else msgspec.convert(dict(row), CachedOrganization)


async def local_scope(database: Database, organization: str | None = None) -> TenantScope:
    """Return the owner's scope for a command that runs beside the database.

    Whoever can open the database as its operator owns every organization in it; the
    command line uses this where no key is at hand.

    Args:
        organization: name or id; may be left out when there is only one.

    Raises:
        OrganizationNotFound: there is none of that name, or none, or it must be named.
    """
    async with database.operator() as work:
        if organization is None:
            rows = await statements.first_organizations(work)
        else:
            rows = await statements.organizations_named(work, wanted=organization)
    if not rows:
        raise OrganizationNotFound
    if len(rows) > 1:
        raise OrganizationNotFound(
            "There are several organizations: say which with --organization, by its id or, "
            "where it is the only one of that name, its name."
        )
    return TenantScope(OrgId(rows[0]["org_id"]), None, "cli", Role.OWNER)
