"""The scopes of people who are about to be signed in, or who act on their own account.

Beside `tenancy.authentication`, which mints the scope of every request in an organization, this is
the one place of the people room that does: sign-up has no session yet, and what a person does to
their own account is told in the log of the organization that they work in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from muniment.db import Database, OrgId, Role, TenantScope, UnitOfWork, UserId, load_statements
from muniment.tenancy.audit.actions import AuditAction
from muniment.tenancy.audit.record import record
from muniment.tenancy.people.person import Person

_statements = load_statements("muniment.tenancy.people")

STRANGER = "anyone"
"""Who acts when somebody fails to sign in, as the audit log names them."""


def scope_of_user(user_id: UserId, org_id: OrgId, role: Role, address: str | None) -> TenantScope:
    """Return the scope of a user in an organization of which the caller knows them a member."""
    return TenantScope(org_id, None, f"user:{user_id}", role, user_id=user_id, address=address)


def scope_of_stranger(org_id: OrgId, address: str | None) -> TenantScope:
    """Return the scope of somebody who has not signed in, to note that in the audit log."""
    return TenantScope(org_id, None, STRANGER, Role.VIEWER, address=address)


@asynccontextmanager
async def work_in(
    database: Database, user_id: UserId, org_id: OrgId | None, address: str | None
) -> AsyncIterator[UnitOfWork]:
    """Open a transaction of a user, in an organization if there is one.

    Args:
        database: the pools of this process.
        user_id: whose rows are open.
        org_id: of which the user is a member, so that its audit log can be written.
        address: where the request came from.
    """
    if org_id is None:
        async with database.person(user_id) as work:
            yield work
        return
    scope = scope_of_user(user_id, org_id, Role.VIEWER, address)
    async with database.unit_of_work(scope) as work:
        yield work


def work_of(database: Database, person: Person) -> AbstractAsyncContextManager[UnitOfWork]:
    """Open a transaction of a person, in the organization of their session if it is in one."""
    return work_in(database, person.user_id, person.org_id, person.address)


async def tell(
    work: UnitOfWork,
    person: Person,
    action: AuditAction,
    *,
    target_type: str,
    target_id: UUID,
) -> None:
    """Note in the audit log what a person did to their account, if they are in an organization.

    Args:
        work: from `work_of`.
        person: who did it.
        action: see `record`.
        target_type: see `record`.
        target_id: see `record`.
    """
    if person.org_id is None:
        return
    # A session may outlast the membership in its organization, whose log this is no longer for.
    if await _statements.is_member(work, org_id=person.org_id, user_id=person.user_id):
        await record(work, action, target_type=target_type, target_id=str(target_id))
