"""The authentication boundary: the only place, besides the worker, that mints a scope."""

from __future__ import annotations

from muniment.db import Database, OrgId, Role, TenantScope, WorkspaceId, load_statements
from muniment.tenancy.api_keys import hash_of
from muniment.tenancy.errors import (
    InvalidCredentials,
    MissingCredentials,
    NotAllowed,
    OrganizationNotFound,
)

statements = load_statements("muniment.tenancy")


async def authenticate(database: Database, authorization: str | None) -> TenantScope:
    """Return the scope of a request from its ``Authorization`` header.

    Raises:
        MissingCredentials: no bearer key was sent.
        InvalidCredentials: the key is unknown, revoked or expired.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise MissingCredentials
    async with database.single_statement() as work:
        found = await statements.find_api_key(work, hash=hash_of(key))
    if found is None or found["expired"]:
        raise InvalidCredentials
    workspace_id = found["workspace_id"]
    return TenantScope(
        OrgId(found["org_id"]),
        None if workspace_id is None else WorkspaceId(workspace_id),
        f"api_key:{found['api_key_id']}",
        Role(found["role"]),
    )


def require_role(scope: TenantScope, needed: Role) -> None:
    """Let the caller pass if its role covers `needed`.

    Raises:
        NotAllowed: it does not.
    """
    if not scope.role.covers(needed):
        raise NotAllowed(f"This needs the role {needed}; yours is {scope.role}.")


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
