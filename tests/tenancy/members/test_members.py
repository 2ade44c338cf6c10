"""Members: listing, changing roles, ending memberships; nobody rises above themselves."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, Role, TenantScope, UnitOfWork, new_id
from muniment.db.cursors import InvalidCursor, encode_cursor
from muniment.errors import MunimentError
from muniment.tenancy.errors import NotAllowed, WorkspaceNotFound
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.members.errors import LastOwner, MemberNotFound, RoleNotNarrower
from muniment.tenancy.members.membership import (
    change_role,
    end_membership,
    find_member,
    page_of_members,
)
from muniment.tenancy.members.schemas import Member
from muniment.tenancy.members.workspaces import remove_workspace_role, set_workspace_role
from tests.tenancy.members.conftest import (
    SECRET,
    add_member,
    add_workspace,
    audited,
    roles,
    statements,
)

VIEWER, EDITOR, ADMIN, OWNER = Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER


def who(member: TenantScope) -> UUID:
    assert member.user_id is not None
    return member.user_id


async def listed(database: Database, scope: TenantScope, limit: int) -> list[Member]:
    members: list[Member] = []
    cursor = None
    while True:
        async with database.unit_of_work(scope, read_only=True) as work:
            page = await page_of_members(work, limit=limit, cursor=cursor, secret=SECRET)
        assert len(page.items) <= limit
        members += page.items
        cursor = page.next_cursor
        if cursor is None:
            return members


async def test_pages_are_complete_and_hold_narrower_roles(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    people = [await add_member(database, scope, EDITOR) for _ in range(5)]
    await add_member(database, other_scope, OWNER)
    narrow = [await add_workspace(database, scope, name) for name in ("a", "b")]
    for workspace_id in narrow:
        async with database.unit_of_work(scope) as work:
            await set_workspace_role(work, workspace_id, who(people[2]), VIEWER)
    for limit in (1, 2, 5, 100):
        found = await listed(database, scope, limit)
        assert [member.user_id for member in found] == [who(person) for person in people]
    assert {(r.workspace_id, r.role) for r in found[2].workspace_roles} == {
        (workspace_id, VIEWER) for workspace_id in narrow
    }
    assert [member.workspace_roles for member in found[:2]] == [[], []]
    assert found[2].email == f"{who(people[2]).hex}@example.org"
    limited = replace(scope, workspace_id=narrow[0])
    seen = (await listed(database, limited, 100))[2].workspace_roles
    assert [role.workspace_id for role in seen] == [narrow[0]]


async def test_listing_and_detail_are_one_statement(database: Database, scope: TenantScope) -> None:
    people = [await add_member(database, scope, EDITOR) for _ in range(20)]
    workspace_id = await add_workspace(database, scope, "narrow")
    for person in people:
        async with database.unit_of_work(scope) as work:
            await set_workspace_role(work, workspace_id, who(person), VIEWER)
    with statements() as names:
        await listed(database, scope, 100)
    assert names == ["tenancy.members.list_members"]
    with statements() as names:
        async with database.unit_of_work(scope) as work:
            await find_member(work, who(people[3]))
    assert names == ["tenancy.members.get_member"]


async def test_cursors_of_others_are_refused(database: Database, scope: TenantScope) -> None:
    for cursor in ("x", encode_cursor(b"other", "members", new_id())):
        async with database.unit_of_work(scope) as work:
            with pytest.raises(InvalidCursor):
                await page_of_members(work, limit=5, cursor=cursor, secret=SECRET)


async def test_members_of_others_are_not_found(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    theirs = who(await add_member(database, other_scope, VIEWER))
    workspace_id = await add_workspace(database, other_scope, "theirs")
    mine = who(await add_member(database, scope, EDITOR))
    async with database.unit_of_work(scope) as work:
        for attempt in (
            find_member(work, theirs),
            change_role(work, theirs, EDITOR),
            end_membership(work, theirs),
        ):
            with pytest.raises(MemberNotFound):
                await attempt
        with pytest.raises(WorkspaceNotFound):
            await set_workspace_role(work, workspace_id, mine, VIEWER)
    assert await roles(database, other_scope) == {theirs: "viewer"}


async def test_nobody_reaches_above_their_own_role(database: Database, scope: TenantScope) -> None:
    await add_member(database, scope, OWNER)  # somebody else owns the organization as well
    for actor in Role:
        acting = await add_member(database, scope, actor)
        for target, wanted in itertools.product(Role, Role):
            acted_on = who(await add_member(database, scope, target))
            allowed = actor.covers(target) and actor.covers(wanted)
            refused = False
            try:
                async with database.unit_of_work(acting) as work:
                    changed = await change_role(work, acted_on, wanted)
                assert changed.role is wanted
            except NotAllowed:
                refused = True
            assert refused is not allowed
            assert (await roles(database, scope))[acted_on] == (wanted if allowed else target)


async def test_an_admin_cannot_remove_an_owner(database: Database, scope: TenantScope) -> None:
    owners = [await add_member(database, scope, OWNER) for _ in range(2)]
    admin = await add_member(database, scope, ADMIN)
    with pytest.raises(NotAllowed):
        async with database.unit_of_work(admin) as work:
            await end_membership(work, who(owners[0]))
    async with database.unit_of_work(owners[0]) as work:
        await end_membership(work, who(admin))
    assert set(await roles(database, scope)) == {who(owner) for owner in owners}


async def test_the_last_owner_stays(database: Database, scope: TenantScope) -> None:
    owner = await add_member(database, scope, OWNER)
    await add_member(database, scope, ADMIN)
    for attempt in (
        lambda work: change_role(work, who(owner), ADMIN),
        lambda work: end_membership(work, who(owner)),
    ):
        # An owner's API key cannot do it either.
        for caller in (owner, scope):
            with pytest.raises(LastOwner):
                async with database.unit_of_work(caller) as work:
                    await attempt(work)
    assert (await roles(database, scope))[who(owner)] == "owner"
    async with database.unit_of_work(owner) as work:
        assert (await change_role(work, who(owner), OWNER)).role is OWNER


async def test_the_database_keeps_the_last_owner_even_when_an_account_is_deleted(
    database: Database, scope: TenantScope
) -> None:
    owner = await add_member(database, scope, OWNER)
    assert owner.user_id is not None
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.person(owner.user_id) as work:
            await work.connection.execute("DELETE FROM users")
    async with database.operator() as work:
        await work.connection.execute("DELETE FROM organizations WHERE org_id = $1", scope.org_id)


@pytest.mark.parametrize("deed", ["demote", "remove", "leave"])
async def test_two_owners_at_once_leave_one(
    database: Database, scope: TenantScope, deed: str
) -> None:
    owners = [await add_member(database, scope, OWNER) for _ in range(2)]
    ready = asyncio.Barrier(2)

    async def act(actor: TenantScope, target: TenantScope) -> str:
        try:
            async with database.unit_of_work(actor) as work:
                await ready.wait()
                if deed == "demote":
                    await change_role(work, who(target), VIEWER)
                else:
                    await end_membership(work, who(actor if deed == "leave" else target))
        except MunimentError as error:
            return error.code
        return "done"

    for _ in range(20):
        outcomes = await asyncio.gather(act(owners[0], owners[1]), act(owners[1], owners[0]))
        assert outcomes.count("done") == 1, outcomes
        left = [user for user, role in (await roles(database, scope)).items() if role == "owner"]
        assert len(left) == 1
        survivor = next(owner for owner in owners if owner.user_id == left[0])
        owners = [survivor, await add_member(database, scope, OWNER)]


async def test_whoever_has_just_lost_a_role_cannot_use_it(
    database: Database, scope: TenantScope
) -> None:
    await add_member(database, scope, OWNER)
    actor = await add_member(database, scope, ADMIN)
    target = await add_member(database, scope, EDITOR)
    async with database.unit_of_work(scope) as work:
        await change_role(work, who(actor), VIEWER)
    for attempt in (
        lambda work: change_role(work, who(target), VIEWER),
        lambda work: change_role(work, who(actor), ADMIN),
        lambda work: end_membership(work, who(target)),
    ):
        with pytest.raises(NotAllowed):
            async with database.unit_of_work(actor) as work:  # as its process still believes
                await attempt(work)


async def test_a_lower_role_takes_wider_roles_in_workspaces_along(
    database: Database, scope: TenantScope
) -> None:
    member = who(await add_member(database, scope, ADMIN))
    first = await add_workspace(database, scope, "first")
    second = await add_workspace(database, scope, "second")
    async with database.unit_of_work(scope) as work:
        await set_workspace_role(work, first, member, EDITOR)
        await set_workspace_role(work, second, member, VIEWER)
        changed = await change_role(work, member, EDITOR)
        assert [(r.workspace_id, r.role) for r in changed.workspace_roles] == [(second, VIEWER)]


async def test_a_role_in_a_workspace_is_narrower(database: Database, scope: TenantScope) -> None:
    workspace_id = await add_workspace(database, scope, "narrow")
    for role in Role:
        member = who(await add_member(database, scope, role))
        for there in Role:
            async with database.unit_of_work(scope) as work:
                if role.covers(there) and there is not role:
                    changed = await set_workspace_role(work, workspace_id, member, there)
                    assert [r.role for r in changed.workspace_roles] == [there]
                else:
                    with pytest.raises(RoleNotNarrower):
                        await set_workspace_role(work, workspace_id, member, there)


async def test_a_demotion_and_a_workspace_role_at_once_leave_it_narrower(
    database: Database, scope: TenantScope
) -> None:
    workspace_id = await add_workspace(database, scope, "narrow")
    for _ in range(20):
        member = who(await add_member(database, scope, ADMIN))
        ready = asyncio.Barrier(2)

        async def narrow(ready: asyncio.Barrier, member: UUID) -> None:
            async with database.unit_of_work(scope) as work:
                await ready.wait()
                await set_workspace_role(work, workspace_id, member, EDITOR)

        async def demote(ready: asyncio.Barrier, member: UUID) -> None:
            async with database.unit_of_work(scope) as work:
                await ready.wait()
                await change_role(work, member, VIEWER)

        outcomes = await asyncio.gather(
            narrow(ready, member), demote(ready, member), return_exceptions=True
        )
        assert outcomes[1] is None
        assert outcomes[0] is None or isinstance(outcomes[0], RoleNotNarrower)
        async with database.unit_of_work(scope) as work:
            found = await find_member(work, member)
        assert (found.role, found.workspace_roles) == (VIEWER, [])


async def test_nobody_widens_a_narrower_role_of_their_own(
    database: Database, scope: TenantScope
) -> None:
    workspace_id = await add_workspace(database, scope, "narrow")
    await add_member(database, scope, OWNER)
    admin = await add_member(database, scope, ADMIN)
    colleague = await add_member(database, scope, ADMIN)
    async with database.unit_of_work(scope) as work:
        await set_workspace_role(work, workspace_id, who(admin), VIEWER)
    narrowed = replace(admin, workspace_roles={workspace_id: VIEWER})
    for attempt in (
        lambda work: remove_workspace_role(work, workspace_id, who(narrowed)),
        lambda work: set_workspace_role(work, workspace_id, who(narrowed), EDITOR),
        lambda work: set_workspace_role(work, workspace_id, who(colleague), EDITOR),
    ):
        with pytest.raises(NotAllowed):
            async with database.unit_of_work(narrowed) as work:
                await attempt(work)
    async with database.unit_of_work(colleague) as work:
        await remove_workspace_role(work, workspace_id, who(admin))
        with pytest.raises(MemberNotFound):
            await remove_workspace_role(work, workspace_id, who(admin))


async def test_a_key_does_not_get_around_a_narrower_role(
    database: Database, scope: TenantScope
) -> None:
    narrow = await add_workspace(database, scope, "narrow")
    wide = await add_workspace(database, scope, "wide")
    admin = await add_member(database, scope, ADMIN)
    narrowed = replace(admin, workspace_roles={narrow: VIEWER})
    async with database.unit_of_work(narrowed) as work:
        for role, workspace_id in ((ADMIN, None), (EDITOR, None), (EDITOR, narrow)):
            with pytest.raises(NotAllowed):
                await create_api_key(work, "key", role, workspace_id=workspace_id)
        for role, workspace_id in ((VIEWER, None), (VIEWER, narrow), (ADMIN, wide)):
            await create_api_key(work, "key", role, workspace_id=workspace_id)


async def test_changes_are_announced_and_audited(database: Database, scope: TenantScope) -> None:
    workspace_id = await add_workspace(database, scope, "narrow")
    await add_member(database, scope, OWNER)
    owner = replace(await add_member(database, scope, OWNER), address="192.0.2.1")
    member = await add_member(database, scope, EDITOR)
    tags = {
        f"{scope.org_id.hex}/member-{who(member).hex}",
        f"{scope.org_id.hex}/members",
    }

    async def told(work: UnitOfWork) -> None:
        assert work.invalidated == tags
        work.invalidated.clear()

    async with database.unit_of_work(owner) as work:
        await change_role(work, who(member), EDITOR)
        assert work.invalidated == set()  # nothing changed
        await change_role(work, who(member), ADMIN)
        await told(work)
        await set_workspace_role(work, workspace_id, who(member), VIEWER)
        await told(work)
        await remove_workspace_role(work, workspace_id, who(member))
        await told(work)
        await end_membership(work, who(member))
        await told(work)
    entries = await audited(database, scope)
    assert [entry["action"] for entry in entries] == [
        "member.role_changed",
        "workspace_role.set",
        "workspace_role.removed",
        "member.removed",
    ]
    assert {entry["target_id"] for entry in entries} == {str(member.user_id)}
    assert {(entry["actor"], entry["address"]) for entry in entries} == {(owner.actor, "192.0.2.1")}
    assert (entries[0]["before"], entries[0]["after"]) == ({"role": "editor"}, {"role": "admin"})


async def test_sessions_lose_an_organization_with_the_membership(
    database: Database, scope: TenantScope
) -> None:
    await add_member(database, scope, OWNER)
    member = await add_member(database, scope, EDITOR)
    assert member.user_id is not None
    async with database.unit_of_work(member) as work:
        await work.connection.execute(
            "INSERT INTO sessions (user_id, session_id, token_hash, org_id, expires_at)"
            " VALUES ($1, $2, $3, $4, now() + interval '1 day')",
            member.user_id,
            new_id(),
            b"h" * 32,
            scope.org_id,
        )
    async with database.unit_of_work(scope) as work:
        await end_membership(work, member.user_id)
    async with database.person(member.user_id) as work:
        assert await work.connection.fetch("SELECT org_id FROM sessions") == [(None,)]
