"""The audit log: written with the deed, listed by whatever one looks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import asyncpg
import pytest

from muniment.db import Database, TenantScope, load_statements, observe_statements
from muniment.tenancy.audit.actions import MEANINGS, AuditAction
from muniment.tenancy.audit.listing import AuditFilter, list_entries
from muniment.tenancy.audit.record import record, record_by_operator, time_of
from muniment.tenancy.audit.schemas import AuditEntry
from tests.tenancy.audit.conftest import SECRET, entries, fill
from tests.tenancy.plans import PlanOf


def test_each_action_is_documented() -> None:
    assert list(MEANINGS) == list(get_args(AuditAction))


async def test_an_entry_tells_who_did_what_to_what_from_where(
    database: Database, scope: TenantScope
) -> None:
    caller = replace(scope, actor="user:1", address="192.0.2.7")
    started = datetime.now(UTC) - timedelta(milliseconds=1)
    async with database.unit_of_work(caller) as work:
        await record(
            work,
            "organization.changed",
            target_type="organization",
            target_id="o",
            before={"name": "Old"},
            after={"name": "New"},
        )
    (entry,) = await entries(database, scope)
    assert started <= entry.at <= datetime.now(UTC)
    assert entry == AuditEntry(
        id=entry.id,
        at=time_of(entry.id),
        actor="user:1",
        action="organization.changed",
        target_type="organization",
        target_id="o",
        address="192.0.2.7",
        before={"name": "Old"},
        after={"name": "New"},
    )


async def test_an_entry_is_rolled_back_with_its_deed(
    database: Database, scope: TenantScope
) -> None:
    with pytest.raises(RuntimeError):
        async with database.unit_of_work(scope) as work:
            await record(work, "member.removed", target_type="member", target_id="m")
            raise RuntimeError
    assert await entries(database, scope) == []


async def test_an_unknown_action_is_refused(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        with pytest.raises(ValueError, match="no_such"):
            await record(work, "no_such.action", target_type="thing")  # type: ignore[arg-type]


async def test_the_operator_writes_into_the_organization_s_log(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    async with database.operator() as work:
        await record_by_operator(
            work,
            "operator:1",
            scope.org_id,
            "organization.suspended",
            address="192.0.2.9",
            after={"because": "unpaid"},
        )
    (entry,) = await entries(database, scope)
    assert (entry.actor, entry.target_type, entry.target_id, entry.address) == (
        "operator:1",
        "organization",
        str(scope.org_id),
        "192.0.2.9",
    )
    assert await entries(database, other_scope) == []


async def test_pages_are_newest_first_and_complete(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        for number in range(7):
            await record(work, "api_key.created", target_type="api_key", target_id=str(number))
    for limit in (1, 3, 7, 100):
        found = await entries(database, scope, limit=limit)
        assert [entry.target_id for entry in found] == list("6543210")


async def test_filters_combine(database: Database, scope: TenantScope) -> None:
    deeds: list[tuple[str, AuditAction, str, str]] = [
        ("user:1", "api_key.created", "api_key", "k1"),
        ("user:2", "api_key.created", "api_key", "k2"),
        ("user:1", "api_key.revoked", "api_key", "k1"),
        ("user:1", "member.removed", "member", "m"),
    ]
    for actor, action, target_type, target_id in deeds:
        async with database.unit_of_work(replace(scope, actor=actor)) as work:
            await record(work, action, target_type=target_type, target_id=target_id)
    newest = (await entries(database, scope))[0].at
    hour = timedelta(hours=1)
    for wanted, expected in [
        (AuditFilter(), [3, 2, 1, 0]),
        (AuditFilter(actor="user:1"), [3, 2, 0]),
        (AuditFilter(actor="user:1", target_type="api_key"), [2, 0]),
        (AuditFilter(actor="user:1", action="api_key.created"), [0]),
        (AuditFilter(actor="user:1", action="api_key.created", target_type="member"), []),
        (AuditFilter(action="api_key.created"), [1, 0]),
        (AuditFilter(action="api_key.created", target_type="api_key"), [1, 0]),
        (AuditFilter(target_type="api_key"), [2, 1, 0]),
        (AuditFilter(target_id="k1"), [2, 0]),
        (AuditFilter(target_id="k1", action="api_key.revoked"), [2]),
        (AuditFilter(target_id="k1", target_type="member"), []),
        (AuditFilter(target_id="k2", actor="user:1"), []),
        (AuditFilter(since=newest - hour), [3, 2, 1, 0]),
        (AuditFilter(since=newest + timedelta(milliseconds=1)), []),
        (AuditFilter(since=newest + timedelta(microseconds=1)), []),
        (AuditFilter(until=newest - hour), []),
        (AuditFilter(until=newest + timedelta(microseconds=1)), [3, 2, 1, 0]),
        (AuditFilter(until=datetime(1, 1, 1, tzinfo=UTC)), []),
        (AuditFilter(until=datetime(9999, 12, 31, tzinfo=UTC)), [3, 2, 1, 0]),
        (AuditFilter(since=newest - hour, until=newest + hour, target_id="m"), [3]),
    ]:
        for limit in (1, 100):
            found = await entries(database, scope, wanted, limit)
            assert [(one.actor, one.action, one.target_type, one.target_id) for one in found] == [
                deeds[index] for index in expected
            ], wanted
    assert newest in {one.at for one in await entries(database, scope, AuditFilter(since=newest))}


async def test_f01_the_listing_is_one_statement(database: Database, scope: TenantScope) -> None:
    await fill(database, scope, 60)
    names: list[str] = []
    async with database.unit_of_work(scope) as work:
        with observe_statements(lambda name, _seconds, _error: names.append(name)):
            page = await list_entries(work, AuditFilter(), limit=50, cursor=None, secret=SECRET)
    assert len(page.items) == 50
    assert names == ["tenancy.audit.list_entries"]


# --- plans ----------------------------------------------------------------------------------------

FILTERS: dict[str, tuple[dict[str, str], str]] = {
    "list_entries": ({}, "audit_log_pkey"),
    "list_entries_by_actor": ({"actor": "user:3"}, "audit_log_by_actor"),
    "list_entries_by_action": ({"action": "member.removed"}, "audit_log_by_action"),
    "list_entries_by_actor_and_action": (
        {"actor": "user:3", "action": "member.removed"},
        "audit_log_by_actor_and_action",
    ),
    "list_entries_by_target": ({"target_id": "target 77"}, "audit_log_by_target"),
    "list_entries_by_target_type": ({"target_type": "member"}, "audit_log_by_target_type"),
}


async def test_f03_no_listing_reads_more_than_it_shows(
    clone: Any, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    """100,000 entries of ours, and some of another organization with the same values."""
    await fill(database, other_scope, 20_000)
    await fill(database, scope, 100_000)
    owner = await asyncpg.connect(clone.installation.owner_dsn)
    await owner.execute("ANALYZE audit_log")
    await owner.close()
    statements = load_statements("muniment.tenancy.audit")
    values = {
        "actor": None,
        "action": None,
        "target_type": None,
        "target_id": None,
        "before": UUID(int=2**128 - 1),
        "since": UUID(int=0),
        "limit": 51,
    }
    for name, (wanted, index) in FILTERS.items():
        for generic in (False, True):
            async with database.unit_of_work(scope) as work:
                plan = PlanOf(work, "audit_log", generic=generic)
                await getattr(statements, name)(plan, **(values | wanted))
            assert {used for _, used in plan.scans} == {index}, (name, plan.nodes)
            assert plan.rows_read <= 51, (name, plan.nodes)
