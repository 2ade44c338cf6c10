"""F3: what lists, decisions and golden records read, on a hundred thousand matches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from muniment.db import Database, TenantScope, UnitOfWork, load_statements, new_id
from muniment.db.installation import Installation
from muniment.reconcile.counted import count_written
from tests.conftest import cloned, make_organization
from tests.tenancy.plans import PlanOf

MANY = 100_000
REVIEW = load_statements("muniment.reconcile.review")
DECIDING = load_statements("muniment.reconcile.review.deciding")
GOLDEN = load_statements("muniment.reconcile.golden")
LAST = UUID(int=2**128 - 1)
PAGE = 50


@dataclass
class Large:
    """A reconciliation with many matches, nine in ten of one confidence, between many records."""

    database: Database
    scope: TenantScope
    id: UUID
    left: UUID
    right: UUID
    match_id: UUID
    record_id: UUID
    right_record_id: UUID
    cluster_id: UUID


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(server: Installation) -> AsyncIterator[Large]:
    with cloned(server) as clone:
        async with clone.open() as database:
            scope = await make_organization(database, "Ours")
            async with database.unit_of_work(scope) as work:
                made = await _fill(work)
            # As jobs do after they have written.
            async with clone.open(worker=True) as worker, worker.unit_of_work(scope) as work:
                await count_written(work)
            yield Large(database, scope, *made)


async def _fill(work: UnitOfWork) -> tuple[UUID, ...]:
    run = work.connection
    reconciliation_id, left, right = new_id(), new_id(), new_id()
    await run.execute(
        "INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name)"
        " SELECT org_id, $1, workspace_id, 'large' FROM workspaces",
        reconciliation_id,
    )
    for side, dataset_id in (("left", left), ("right", right)):
        await run.execute(
            "INSERT INTO datasets (org_id, dataset_id, reconciliation_id, side, name, status,"
            " row_count, version, originals_hash, cleaned_hash)"
            " VALUES (current_org_id(), $1, $2, $3, $3, 'ready', $4, 1, $5, $5)",
            dataset_id,
            reconciliation_id,
            side,
            MANY,
            bytes(32),
        )
        # Of both sides the record of a row is in the cluster of that row.
        await run.execute(
            "INSERT INTO records (org_id, reconciliation_id, dataset_id, record_id, side, row,"
            " original, cluster_id, added_version, changed_version)"
            " SELECT current_org_id(), $1, $2, md5($3 || n)::uuid, $3, n, '{}',"
            " md5(n::text)::uuid, 1, 1 FROM generate_series(1, $4::bigint) AS n",
            reconciliation_id,
            dataset_id,
            side,
            MANY,
        )
    await run.execute(
        "INSERT INTO matches (org_id, reconciliation_id, match_id, left_record_id,"
        " right_record_id, left_row, right_row, found, confidence, stage)"
        " SELECT current_org_id(), $1, md5('match' || n)::uuid, md5('left' || n)::uuid,"
        " md5('right' || n)::uuid, n, n, CASE WHEN n % 100 = 0 THEN 'review' ELSE 'matched' END,"
        " CASE WHEN n % 10 = 0 THEN n / $2::float8 ELSE 1 END,"
        " CASE WHEN n % 1000 = 7 THEN 'grouped' ELSE 'exact' END"
        " FROM generate_series(1, $2::bigint) AS n",
        reconciliation_id,
        MANY,
    )
    await run.execute(
        "INSERT INTO decisions (org_id, decision_id, reconciliation_id, match_id,"
        " left_record_id, right_record_id, action, status_before, status_after, version, actor)"
        " SELECT current_org_id(), gen_random_uuid(), $1, md5('match' || n)::uuid,"
        " md5('left' || n)::uuid, md5('right' || n)::uuid, 'reset', 'review', 'review', 2, 'test'"
        " FROM generate_series(1, $2::bigint / 5) AS n",
        reconciliation_id,
        MANY,
    )
    row = await run.fetchrow(
        "SELECT match_id, left_record_id, right_record_id FROM matches WHERE left_row = 5000"
    )
    assert row is not None
    cluster_id = await run.fetchval("SELECT md5('5000')::uuid")
    return (reconciliation_id, left, right, *row.values(), cluster_id)


@dataclass(frozen=True)
class Read:
    """A statement, what it may read of a table, and with which indexes."""

    statements: Any
    name: str
    table: str
    indexes: set[str]
    rows: int
    changes: dict[str, Any]


MATCHES = {"matches_pkey", "pair_is_matched_once", "matches_by_right_record"}
DEEP = {"confidence": 1.0, "match_id": UUID(int=2**126)}
"""Within the ninety thousand that are equally sure."""

READS = [
    Read(REVIEW, "list_matches", "matches", {"matches_by_status"}, 2 * PAGE, {}),
    Read(REVIEW, "list_matches", "matches", {"matches_by_status"}, 2 * PAGE, DEEP),
    Read(
        REVIEW, "list_matches_by_stage", "matches", {"matches_by_stage"}, PAGE, {"stage": "grouped"}
    ),
    Read(REVIEW, "list_matches_of_record", "matches", MATCHES, 3, {}),
    Read(REVIEW, "list_competing_matches", "matches", MATCHES, 4, {}),
    Read(REVIEW, "get_match", "matches", {"matches_pkey"}, 1, {}),
    Read(REVIEW, "list_unmatched", "records", {"row_of_dataset_is_unique"}, 200, {"until": 200}),
    Read(REVIEW, "list_unmatched", "matches", MATCHES, 2 * 200, {"until": 200}),
    Read(
        REVIEW, "list_decisions", "decisions", {"decisions_by_reconciliation", "decisions_pkey"},
        PAGE, {},
    ),
    Read(REVIEW, "list_decisions_of_match", "decisions", {"decisions_by_match"}, 1, {}),
    Read(DECIDING, "pick_matches", "matches", {"matches_by_status"}, 2 * PAGE, {}),
    Read(
        DECIDING, "pick_matches_by_stage", "matches", {"matches_by_stage"}, PAGE,
        {"stage": "grouped"},
    ),
    Read(DECIDING, "records_of_clusters", "records", {"records_by_cluster", "records_pkey"}, 4, {}),
    Read(DECIDING, "pairs_of_records", "matches", MATCHES, 4, {}),
    Read(GOLDEN, "list_members", "records", {"records_by_cluster"}, 4 * PAGE + 4, {}),
    Read(GOLDEN, "members_of_cluster", "records", {"records_by_cluster"}, 2, {}),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_reads_what_it_shows(large: Large) -> None:
    wrong = []
    for read in READS:
        for generic in (False, True):
            fault = await _fault(large, read, generic)
            if fault is not None:
                wrong.append((read.name, read.table, generic, fault))
    assert wrong == []


async def _fault(large: Large, read: Read, generic: bool) -> object:
    """Return what is wrong with how a statement reads a table, if anything is."""
    values: dict[str, Any] = {
        "reconciliation_id": large.id,
        "left_dataset_id": large.left,
        "right_dataset_id": large.right,
        "dataset_id": large.left,
        "statuses": Texts(["matched", "review", "unmatched", "accepted", "rejected"]),
        "confidence": 1.0,
        "match_id": large.match_id if "match" in read.name else LAST,
        "min_confidence": 0.0,
        "max_confidence": 1.0,
        "undecided": True,
        "record_id": large.record_id,
        "after": 0 if "unmatched" in read.name else uuid4(),
        "before": LAST,
        "members": 200,
        "cluster_id": large.cluster_id,
        "limit": PAGE,
        "stage": None,
    }
    if read.name.startswith("list_matches"):
        values["match_id"] = LAST
    values["record_ids"] = Texts([str(large.record_id), str(large.right_record_id)])
    values["dataset_ids"] = Texts([str(large.left), str(large.right)])
    async with large.database.unit_of_work(large.scope) as work:
        plan = PlanOf(work, read.table, generic=generic)
        await getattr(read.statements, read.name)(plan, **(values | read.changes))
    scans = {kind for kind, _ in plan.scans}
    used = {index for _, index in plan.scans}
    if used <= read.indexes and "Seq Scan" not in scans and 0 < plan.rows_read <= read.rows:
        return None
    return plan.scans, plan.rows_read


class Texts(list[str]):
    """An array as Postgres writes it, for statements that are explained."""

    def __str__(self) -> str:
        return "{" + ",".join(self) + "}"
