"""Whoever may call the API, and things to name in requests: each made afresh for one request.

So no request finds what another has changed, in whatever order they come. Rows are written as
the operator, beside the application, which has never heard of them and so has nothing cached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from muniment.db import Database, OrgId, Role, UnitOfWork, UserId, WorkspaceId, new_id
from muniment.documents.blobs import BlobStore
from muniment.tenancy.people.csrf import CSRF_HEADER, csrf_token
from muniment.tenancy.people.passwords import Passwords
from muniment.tenancy.secrets import hash_of, new_secret

SECRET = b"test secret"
PASSWORD = "an archive of quiet evenings"
TEXT = b"A crate of apples."
AHEAD = timedelta(hours=1)

With = Literal["nothing", "key", "session", "operator key"]


@dataclass(frozen=True)
class Home:
    """An organization with two workspaces."""

    org_id: OrgId
    first: WorkspaceId
    """Where the things are that requests name."""
    second: WorkspaceId
    source_id: UUID
    content_hash: bytes


@dataclass(frozen=True)
class Caller:
    """Somebody who asks, and in what way they are known."""

    name: str
    sends: With
    role: Role = Role.OWNER
    of: Literal["ours", "theirs", "suspended", "none"] = "ours"
    limited_to: Literal["first", "second"] | None = None
    """Workspace of a key."""
    narrowed_to: Role | None = None
    """What a member may do in the first workspace."""
    refused_with: str | None = None
    """Code of the error, where these credentials are good for nothing."""
    csrf: bool = True


KNOWN_KEYS = [Caller(f"{role} key", "key", role) for role in Role]
MEMBERS = [Caller(f"{role} session", "session", role) for role in Role]
CALLERS = [
    Caller("nobody", "nothing"),
    Caller("wrong key", "key", refused_with="invalid_credentials"),
    Caller("expired key", "key", refused_with="invalid_credentials"),
    Caller("revoked key", "key", refused_with="invalid_credentials"),
    Caller("wrong session", "session", refused_with="session_ended"),
    Caller("expired session", "session", refused_with="session_ended"),
    *KNOWN_KEYS,
    *MEMBERS,
    *(Caller(f"{role} key of the workspace", "key", role, limited_to="first") for role in Role),
    Caller("owner key of the other workspace", "key", limited_to="second"),
    Caller("admin session, viewer there", "session", Role.ADMIN, narrowed_to=Role.VIEWER),
    Caller("owner session without token", "session", csrf=False),
    Caller("key of others", "key", of="theirs"),
    Caller("session of others", "session", of="theirs"),
    Caller("session without organization", "session", of="none"),
    Caller("key of a suspended organization", "key", of="suspended"),
    Caller("session of a suspended organization", "session", of="suspended"),
    Caller("operator key", "operator key"),
]


@dataclass(frozen=True)
class Present:
    """A caller who was made for one request, and the headers that show it."""

    headers: dict[str, str] = field(default_factory=dict)
    org_id: OrgId | None = None
    user_id: UserId | None = None
    email: str | None = None
    session_id: UUID | None = None


class World:
    """Organizations on a database, and makers of everything that a request may name."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self.database = database
        self.blobs = blobs
        self.homes: dict[str, Home] = {}
        self.password_hash = ""
        self._work: UnitOfWork

    @classmethod
    async def made(cls, database: Database, blobs: BlobStore) -> World:
        """Return a world of organizations: ours, theirs, one that is suspended, and another."""
        world = cls(database, blobs)
        with Passwords() as passwords:
            world.password_hash = await passwords.hash(PASSWORD)
        async with world.writing():
            for name in ("ours", "theirs", "suspended", "elsewhere"):
                home = world.homes[name] = await world._home(name)
                # Whoever leaves or is removed is not the last owner.
                user_id, email = await world.person()
                await world.join(home, user_id, email, Role.OWNER)
            suspended = world.homes["suspended"].org_id
            await world._run(
                "UPDATE organizations SET suspended_at = now() WHERE org_id = $1", suspended
            )
        return world

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Let everything that is made inside become visible at its end, in one transaction."""
        async with self.database.operator() as work:
            self._work = work
            yield

    async def _run(self, query: str, *values: Any) -> None:
        await self._work.connection.execute(query, *values)

    async def _home(self, name: str) -> Home:
        ids = [new_id() for _ in range(4)]
        home = Home(
            OrgId(ids[0]),
            WorkspaceId(ids[1]),
            WorkspaceId(ids[2]),
            ids[3],
            self.blobs.put(OrgId(ids[0]), TEXT),
        )
        await self._run(
            "INSERT INTO organizations (org_id, name, tier) VALUES ($1, $2, 'enterprise')",
            home.org_id,
            name,
        )
        for workspace_id in (home.first, home.second):
            await self._run(
                "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, $3)",
                home.org_id,
                workspace_id,
                str(workspace_id),
            )
        await self._run(
            "INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)"
            " VALUES ($1, $2, $3, 'local_folder', 'folder', 'here')",
            home.org_id,
            home.source_id,
            home.first,
        )
        return home

    # --- callers -----------------------------------------------------------------------------

    async def come(self, caller: Caller) -> Present:
        """Make a caller: a key, or a person with a session and a membership."""
        home = self.homes.get(caller.of)
        match caller.sends:
            case "nothing":
                return Present()
            case "operator key":
                return Present(_bearer(await self._operator_key()))
            case "key":
                assert home is not None
                return await self._with_key(caller, home)
        return await self._with_session(caller, home)

    async def _operator_key(self) -> str:
        key = new_secret("muo_")
        await self._run(
            "INSERT INTO operator_keys (operator_key_id, name, prefix, hash)"
            " VALUES ($1, 'test', 'muo_test', $2)",
            new_id(),
            hash_of(key),
        )
        return key

    async def _with_key(self, caller: Caller, home: Home) -> Present:
        if caller.name == "wrong key":
            return Present(_bearer(new_secret("mun_")))
        limit = {"first": home.first, "second": home.second, None: None}[caller.limited_to]
        key = new_secret("mun_")
        await self._run(
            "INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role, workspace_id,"
            " expires_at, revoked_at) VALUES ($1, $2, 'caller', 'mun_caller', $3, $4, $5,"
            " now() + $6, CASE WHEN $7 THEN now() END)",
            home.org_id,
            new_id(),
            hash_of(key),
            caller.role.value,
            limit,
            None if caller.name != "expired key" else -AHEAD,
            caller.name == "revoked key",
        )
        return Present(_bearer(key), home.org_id)

    async def _with_session(self, caller: Caller, home: Home | None) -> Present:
        token = new_secret()
        headers = {"Cookie": f"muniment_session={token}"}
        if caller.csrf:
            headers[CSRF_HEADER] = csrf_token(SECRET, hash_of(token))
        if caller.name == "wrong session":
            return Present(headers)
        user_id, email = await self.person()
        if home is not None:
            await self.join(home, user_id, email, caller.role)
            if caller.narrowed_to is not None:
                await self.narrow(home, user_id, caller.narrowed_to)
        session_id = await self.session(
            user_id, home, token, expired=caller.name == "expired session"
        )
        org_id = None if home is None else home.org_id
        return Present(headers, org_id, user_id, email, session_id)

    # --- things that requests name -----------------------------------------------------------

    async def person(self) -> tuple[UserId, str]:
        """Make a person whose password is `PASSWORD`."""
        user_id = UserId(new_id())
        email = f"{user_id}@example.com"
        await self._run(
            "INSERT INTO users (user_id, email, name, password_hash, email_verified_at)"
            " VALUES ($1, $2, 'Somebody', $3, now())",
            user_id,
            email,
            self.password_hash,
        )
        return user_id, email

    async def join(self, home: Home, user_id: UserId, email: str, role: Role) -> None:
        """Make a person a member of an organization."""
        await self._run(
            "INSERT INTO members (org_id, user_id, email, name, role)"
            " VALUES ($1, $2, $3, 'Somebody', $4)",
            home.org_id,
            user_id,
            email,
            role.value,
        )

    async def member(self, home: Home) -> UserId:
        """Make a person who is an editor of an organization."""
        user_id, email = await self.person()
        await self.join(home, user_id, email, Role.EDITOR)
        return user_id

    async def narrow(self, home: Home, user_id: UserId, role: Role) -> None:
        """Give a member a narrower role in the first workspace."""
        await self._run(
            "INSERT INTO workspace_roles (org_id, workspace_id, user_id, role)"
            " VALUES ($1, $2, $3, $4)",
            home.org_id,
            home.first,
            user_id,
            role.value,
        )

    async def session(
        self, user_id: UserId, home: Home | None, token: str, *, expired: bool = False
    ) -> UUID:
        """Open a session of a person, in an organization or in none."""
        session_id = new_id()
        await self._run(
            "INSERT INTO sessions (user_id, session_id, token_hash, org_id, expires_at)"
            " VALUES ($1, $2, $3, $4, now() + $5)",
            user_id,
            session_id,
            hash_of(token),
            None if home is None else home.org_id,
            -AHEAD if expired else AHEAD,
        )
        return session_id

    async def organization(self) -> UUID:
        """Make an organization for the operator to act on."""
        org_id = new_id()
        await self._run("INSERT INTO organizations (org_id, name) VALUES ($1, 'thing')", org_id)
        return org_id

    async def workspace(self, home: Home) -> UUID:
        """Make an empty workspace."""
        workspace_id = new_id()
        await self._run(
            "INSERT INTO workspaces (org_id, workspace_id, name) VALUES ($1, $2, $3)",
            home.org_id,
            workspace_id,
            str(workspace_id),
        )
        return workspace_id

    async def key(self, home: Home) -> UUID:
        """Make a viewer's key."""
        api_key_id = new_id()
        await self._run(
            "INSERT INTO api_keys (org_id, api_key_id, name, prefix, hash, role)"
            " VALUES ($1, $2, 'thing', 'mun_thing', $3, 'viewer')",
            home.org_id,
            api_key_id,
            hash_of(new_secret()),
        )
        return api_key_id

    async def invitation(self, home: Home, email: str | None = None) -> tuple[UUID, str]:
        """Invite an address, somebody's unless given; return the token as well."""
        invitation_id, token = new_id(), new_secret()
        await self._run(
            "INSERT INTO invitations (org_id, invitation_id, email, role, token_hash, invited_by,"
            " expires_at) VALUES ($1, $2, $3, 'viewer', $4, 'test', now() + $5)",
            home.org_id,
            invitation_id,
            email or f"{invitation_id}@example.com",
            hash_of(token),
            AHEAD,
        )
        return invitation_id, token

    async def reset(self) -> str:
        """Make a link for a person to set their password and return its token."""
        user_id, _email = await self.person()
        token = new_secret()
        await self._run(
            "INSERT INTO password_resets (user_id, token_hash, expires_at)"
            " VALUES ($1, $2, now() + $3)",
            user_id,
            hash_of(token),
            AHEAD,
        )
        return token

    async def document(self, home: Home) -> UUID:
        """Make a document of the first workspace, with its text."""
        document_id = new_id()
        await self._run(
            "INSERT INTO documents (org_id, document_id, workspace_id, source_id, external_id,"
            " title, media_type, size_bytes, content_hash, text_hash, status)"
            " VALUES ($1, $2, $3, $4, $5, 'Apples', 'text/plain', 18, $6, $6, 'searchable')",
            home.org_id,
            document_id,
            home.first,
            home.source_id,
            str(document_id),
            home.content_hash,
        )
        return document_id

    async def job(self, home: Home) -> UUID:
        """Make a job of the first workspace."""
        job_id = new_id()
        await self._run(
            "INSERT INTO jobs (org_id, job_id, workspace_id, kind, lane, payload, max_attempts,"
            " deadline) VALUES ($1, $2, $3, 'test.nothing', 'fast', '{}', 1, '1 minute')",
            home.org_id,
            job_id,
            home.first,
        )
        return job_id

    async def ended_job(self, home: Home) -> UUID:
        """Make a job of the first workspace that has failed."""
        job_id = await self.job(home)
        await self._run(
            "UPDATE jobs SET status = 'failed', finished_at = now(),"
            """ error = '{"code": "c", "detail": "d"}' WHERE job_id = $1""",
            job_id,
        )
        return job_id

    async def schedule(self, home: Home) -> UUID:
        """Make a schedule of the organization, one of a kind."""
        schedule_id = new_id()
        await self._run(
            "INSERT INTO job_schedules (org_id, schedule_id, name, kind, payload, cron, timezone,"
            " next_at) VALUES ($1, $2, $3, 'test.nothing', '{}', '0 3 * * *', 'UTC',"
            " now() + interval '1 year')",
            home.org_id,
            schedule_id,
            f"schedule {schedule_id}",
        )
        return schedule_id


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
