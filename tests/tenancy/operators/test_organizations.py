"""The operator creates, changes, suspends and resumes organizations, and it is on record."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from muniment.db import Database, OrgId, Role, TenantScope
from muniment.tenancy.operators.organizations import (
    Operator,
    resume_organization,
    suspend_organization,
)
from tests.app.conftest import application, client_of
from tests.tenancy.operators.conftest import Member, entries


def path(scope: TenantScope) -> str:
    return f"/v1/admin/organizations/{scope.org_id}"


async def test_shows_an_organization(
    operator: httpx.AsyncClient, scope: TenantScope, other_scope: TenantScope
) -> None:
    answer = await operator.get(path(scope))
    assert answer.status_code == 200
    shown = answer.json()
    assert datetime.fromisoformat(shown.pop("created_at")) < datetime.now(UTC)
    assert shown == {
        "id": str(scope.org_id),
        "name": "Ours",
        "tier": "enterprise",
        "suspended_at": None,
        "suspended_because": None,
        "usage": {"documents": 0, "bytes": 0, "members": 0},
        "last_active_at": None,
    }


async def test_ids_that_are_none(operator: httpx.AsyncClient, scope: TenantScope) -> None:
    for org_id in (
        uuid4(),
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
    ):
        base = f"/v1/admin/organizations/{org_id}"
        for answer in (
            await operator.get(base),
            await operator.patch(base, json={"tier": "pro"}),
            await operator.post(f"{base}/suspend", json={"reason": "x"}),
            await operator.post(f"{base}/resume"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "organization_not_found")


async def test_creates_an_organization_with_a_key(
    operator: httpx.AsyncClient, database: Database
) -> None:
    answer = await operator.post("/v1/admin/organizations", json={"name": "New", "tier": "pro"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["organization"]["name"], made["organization"]["tier"]) == ("New", "pro")
    assert made["invitation"] is None
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    me = (await operator.get("/v1/me", headers=headers)).json()
    assert me["organization"]["id"] == made["organization"]["id"]
    usage = (await operator.get("/v1/usage", headers=headers)).json()
    assert usage["tier"] == "pro"
    scope = TenantScope(OrgId(UUID(made["organization"]["id"])), None, "test", Role.OWNER)
    actions = [(entry[0], entry[1].partition(":")[0]) for entry in await entries(database, scope)]
    assert actions == [("organization.created", "operator"), ("api_key.created", "operator")]


async def test_creates_an_organization_and_invites_its_owner(operator: httpx.AsyncClient) -> None:
    answer = await operator.post(
        "/v1/admin/organizations", json={"name": "New", "owner_email": "Ada@Example.com"}
    )
    assert answer.status_code == 201
    made = answer.json()
    assert made["organization"]["tier"] == "free"
    assert made["api_key"] is None
    invitation = made["invitation"]
    assert (invitation["email"], invitation["role"]) == (
        "ada@example.com",
        "owner",
    )
    assert "#token=" in invitation["accept_url"]
    assert invitation["mailed"] is False


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": ""}, 422),
        ({"name": "x", "tier": "gold"}, 422),
        ({"name": "x", "owner_email": "nobody"}, 422),
        ({"name": "x", "colour": "red"}, 422),
    ],
)
async def test_refuses_what_is_no_organization(
    operator: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    answer = await operator.post("/v1/admin/organizations", json=body)
    assert answer.status_code in {400, status}
    assert (await operator.get("/v1/admin/organizations")).json()["items"] == []


async def test_changes_tier_and_name(
    operator: httpx.AsyncClient, database: Database, scope: TenantScope, member: Member
) -> None:
    assert (await member.get("/v1/usage")).json()["tier"] == "enterprise"
    answer = await operator.patch(path(scope), json={"tier": "pro", "name": "Renamed"})
    assert (answer.json()["tier"], answer.json()["name"]) == ("pro", "Renamed")
    assert (await member.get("/v1/usage")).json()["tier"] == "pro"
    assert (await member.get("/v1/me")).json()["organization"]["name"] == "Renamed"
    assert (await operator.patch(path(scope), json={"tier": "pro"})).status_code == 200
    assert [(entry[0], *entry[2:]) for entry in (await entries(database, scope))[1:]] == [
        ("organization.changed", {"name": "Ours"}, {"name": "Renamed"}),
        ("organization.tier_changed", {"tier": "enterprise"}, {"tier": "pro"}),
    ]


async def test_suspension_shuts_everybody_out_until_it_ends(
    operator: httpx.AsyncClient, database: Database, scope: TenantScope, member: Member
) -> None:
    assert (await member.get("/v1/me")).status_code == 200
    answer = await operator.post(f"{path(scope)}/suspend", json={"reason": "Unpaid"})
    assert answer.status_code == 200
    assert answer.json()["suspended_because"] == "Unpaid"
    assert answer.json()["suspended_at"] is not None
    for address in ("/v1/me", "/v1/documents", "/v1/usage", "/v1/jobs"):
        refused = await member.get(address)
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
        assert "Unpaid" not in refused.text
    again = await operator.post(f"{path(scope)}/suspend", json={"reason": "Abuse"})
    assert again.json()["suspended_at"] == answer.json()["suspended_at"]
    for _ in range(2):
        answer = await operator.post(f"{path(scope)}/resume")
        assert (answer.json()["suspended_at"], answer.json()["suspended_because"]) == (None, None)
    assert (await member.get("/v1/me")).status_code == 200
    told = [(entry[0], *entry[2:]) for entry in (await entries(database, scope))[1:]]
    assert told == [
        (
            "organization.suspended",
            {"suspended": False, "reason": None},
            {"suspended": True, "reason": "Unpaid"},
        ),
        (
            "organization.suspended",
            {"suspended": True, "reason": "Unpaid"},
            {"suspended": True, "reason": "Abuse"},
        ),
        (
            "organization.resumed",
            {"suspended": True, "reason": "Abuse"},
            {"suspended": False, "reason": None},
        ),
    ]


async def test_suspension_reaches_every_process(
    clone: Any, database: Database, scope: TenantScope, member: Member
) -> None:
    """Two more applications with caches of their own, and a command beside them."""
    async with (
        clone.open() as second,
        clone.open() as third,
        client_of(application(second)) as one,
        client_of(application(third)) as two,
    ):
        headers = {"Authorization": f"Bearer {member.key}"}
        for client in (one, two):
            assert (await client.get("/v1/me", headers=headers)).status_code == 200
        async with clone.open() as command:
            async with command.operator() as work:
                await suspend_organization(work, Operator("operator:cli"), scope.org_id, "Test")
            for client in (one, two):
                await _until(client, headers, 403)
            async with command.operator() as work:
                await resume_organization(work, Operator("operator:cli"), scope.org_id)
            for client in (one, two):
                await _until(client, headers, 200)


async def _until(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    """Ask until the answer has a status: the notification takes a moment to come."""
    async with asyncio.timeout(5):
        answered = 0
        while answered != status:
            answered = (await client.get("/v1/me", headers=headers)).status_code


async def test_a_reason_is_needed(operator: httpx.AsyncClient, scope: TenantScope) -> None:
    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 1001}):
        answer = await operator.post(f"{path(scope)}/suspend", json=body)
        assert answer.status_code in {400, 422}
