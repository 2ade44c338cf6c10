"""What runs and listings read of large tables: a page, by an index.

The tables have those statistics that loads and runs give them: autovacuum was not there yet.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from muniment.db import Database, TenantScope, UnitOfWork, load_statements
from muniment.reconcile.counted import count_first
from tests.reconcile.reconciled import Reconciled, make_reconciled
from tests.tenancy.plans import PlanOf

reconciliations = load_statements("muniment.reconcile.reconciliations")
datasets = load_statements("muniment.reconcile.datasets")
runs = load_statements("muniment.reconcile.runs")

RECORDS = """
INSERT INTO records (
    org_id, reconciliation_id, dataset_id, record_id, side, row, original, cluster_id,
    added_version, changed_version
)
SELECT $1, $2, $3, md5('r' || n)::uuid, 'left', n, '{}', md5('r' || n / 2)::uuid, 1, 1
FROM generate_series(1, 100000) AS n
"""
MATCHES = """
INSERT INTO matches (
    org_id, reconciliation_id, match_id, left_record_id, right_record_id, left_row, right_row,
    found, confidence, stage, decision, decided_by
)
SELECT
    $1, $2, md5('m' || n)::uuid, md5('r' || n)::uuid, md5('r' || (n + 1))::uuid, n, n + 1,
    'matched', 0.5, 'exact', CASE WHEN n % 3 = 0 THEN 'accepted' END,
    CASE WHEN n % 3 = 0 THEN 'us' END
FROM generate_series(1, 99999) AS n
"""
RECONCILIATIONS = """
INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name)
SELECT $1, gen_random_uuid(), $2, 'reconciliation ' || n FROM generate_series(1, 20000) AS n
"""
RUNS = """
INSERT INTO reconciliation_runs (org_id, run_id, reconciliation_id, mode, status)
SELECT $1, gen_random_uuid(), $2, 'full', 'succeeded' FROM generate_series(1, 20000) AS n
"""
MIDDLE = UUID(int=2**127)
LIMIT = 51


async def fill(database: Database, worker_database: Database, scope: TenantScope) -> Reconciled:
    made = await make_reconciled(database, scope, 0, None, [])
    async with database.operator() as work:
        run = work.connection.execute
        left = made.datasets["left"]
        await run(RECORDS, scope.org_id, made.id, left)
        await run(MATCHES, scope.org_id, made.id)
        await run(RECONCILIATIONS, scope.org_id, made.workspace_id)
        await run(RUNS, scope.org_id, made.id)
    async with worker_database.unit_of_work(scope) as work:
        await count_first(work)
    return made


async def planned(
    work: UnitOfWork, statement: Any, table: str, *, generic: bool, **parameters: Any
) -> PlanOf:
    plan = PlanOf(work, table, generic=generic)
    await statement(plan, **parameters)
    return plan


async def test_f3_pages_are_read_by_indexes(
    database: Database, worker_database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    made = await fill(database, worker_database, scope)
    left = made.datasets["left"]
    of = {"reconciliation_id": made.id}
    cases = [
        (
            reconciliations.list_reconciliations,
            "reconciliations",
            {"first": UUID(int=0), "last": MIDDLE, "workspace_id": None},
        ),
        (runs.list_runs, "reconciliation_runs", {**of, "before": MIDDLE}),
        (
            runs.records_by_row,
            "records",
            {"dataset_id": left, "version": 1, "after": 50_000},
        ),
        (runs.clustered_records, "records", {"dataset_id": left, "after": MIDDLE}),
        (runs.holding_pairs, "matches", {**of, "after": MIDDLE}),
        (runs.earlier_pairs, "matches", {**of, "after": MIDDLE}),
        (
            datasets.refresh_match_rows,
            "matches",
            {**of, "left_dataset_id": left, "right_dataset_id": left, "after": MIDDLE},
        ),
        (runs.remove_matches, "matches", {**of, "run_id": uuid4(), "after": MIDDLE}),
    ]
    for statement, table, parameters in cases:
        for generic in (False, True):
            async with database.unit_of_work(scope) as work:
                await work.connection.execute("SAVEPOINT plan")
                plan = await planned(
                    work, statement, table, generic=generic, **parameters, limit=LIMIT
                )
                await work.connection.execute("ROLLBACK TO SAVEPOINT plan")
            # Some are read to find a page and once more to change its rows.
            assert plan.rows_read <= 3 * LIMIT, (statement, generic, plan.rows_read, plan.scans)
            kinds = {kind for kind, _index in plan.scans}
            assert kinds <= {"Index Scan", "Index Only Scan", "ModifyTable"}, plan.scans


async def test_what_a_run_found_is_written_without_reading_all(
    database: Database, worker_database: Database, scope: TenantScope
) -> None:
    made = await fill(database, worker_database, scope)
    left = made.datasets["left"]
    ids = ",".join(str(uuid4()) for _ in range(3))
    given = {
        "match_ids": f"{{{ids}}}",
        "left_record_ids": f"{{{ids}}}",
        "right_record_ids": f"{{{ids}}}",
        "left_rows": "{1,2,3}",
        "right_rows": "{1,2,3}",
        "founds": "{matched,matched,review}",
        "confidences": "{1,0.9,0.5}",
        "stages": "{exact,exact,probabilistic}",
        "amounts": "{NULL,NULL,12.50}",
        "explanations": "{[],[],[]}",
        "alternatives": "{[],[],[]}",
    }
    for table in ("matches", "records"):
        async with database.unit_of_work(scope) as work:
            await work.connection.execute("SAVEPOINT plan")
            plan = await planned(
                work,
                runs.put_matches,
                table,
                generic=True,
                reconciliation_id=made.id,
                run_id=uuid4(),
                left_dataset_id=left,
                right_dataset_id=left,
                **given,
            )
            await work.connection.execute("ROLLBACK TO SAVEPOINT plan")
        assert plan.rows_read <= 10, (table, plan.scans)
