"""From files to matches, over HTTP, with a real worker and real processes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from muniment.db import Database, TenantScope
from tests.reconcile.people import LEFT, RIGHT, many, text, turned
from tests.reconcile.served import Asking, rows

pytestmark = pytest.mark.usefixtures("worker")

MATCHES = "SELECT * FROM matches ORDER BY left_identifier, right_identifier"
RECORDS = "SELECT identifier, record_id, cluster_id, row FROM records ORDER BY identifier"


async def decide(
    database: Database, scope: TenantScope, match_id: UUID, decision: str | None
) -> None:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "UPDATE matches SET decision = $2::text, decided_by = CASE WHEN $2::text IS NOT NULL"
            " THEN 'us' END, version = version + 1 WHERE match_id = $1",
            match_id,
            decision,
        )


def known(records: list[Any]) -> dict[str, tuple[UUID, UUID]]:
    return {row["identifier"]: (row["record_id"], row["cluster_id"]) for row in records}


async def test_files_become_matches_which_outlive_runs(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    left, right = await asking.load("left", LEFT), await asking.load("right", RIGHT)
    assert (left["status"], left["row_count"], left["version"]) == ("ready", 5, 1)
    assert right["status"] == "ready"
    run = await asking.run()
    assert (run["status"], run["mode"], run["kind"]) == ("succeeded", "full", "linkage")
    assert run["versions"] == {"left": 1, "right": 1}
    assert run["counts"]["added"] == sum(run["counts"]["statuses"].values())
    assert {"left": "city", "right": "town", "role": "address"} in run["compared"]
    first = await rows(database, scope, MATCHES)
    matched = [row for row in first if row["status"] == "matched"]
    pairs = {(row["left_identifier"], row["right_identifier"]) for row in matched}
    assert pairs == {("a1", "z9"), ("a2", "z8"), ("a3", "z7"), ("a4", "z6")}
    assert all(row["explanation"] for row in matched)
    clusters = known(await rows(database, scope, RECORDS))
    assert clusters["a1"][1] == clusters["z9"][1]
    assert clusters["a5"][1] != clusters["z5"][1]

    # The same again, in another order: every id and every decision is what it was.
    await decide(database, scope, matched[0]["match_id"], "accepted")
    await decide(database, scope, matched[1]["match_id"], "rejected")
    again = await asking.load("left", turned(LEFT))
    assert (again["status"], again["version"]) == ("ready", 2)
    moved = await rows(database, scope, MATCHES)
    assert [row["left_row"] for row in moved if row["status"] == "matched"] == [3, 2]
    second = await asking.run("full")
    assert second["status"] == "succeeded"
    after = {row["match_id"]: row for row in await rows(database, scope, MATCHES)}
    accepted, rejected = after[matched[0]["match_id"]], after[matched[1]["match_id"]]
    assert (accepted["status"], accepted["version"]) == ("accepted", 2)
    assert (accepted["found"], accepted["stage"]) == ("matched", matched[0]["stage"])
    assert (rejected["status"], rejected["left_identifier"]) == ("rejected", "a2")
    assert after.keys() >= {row["match_id"] for row in matched}
    now = known(await rows(database, scope, RECORDS))
    assert {name: one[0] for name, one in now.items()} == {
        name: one[0] for name, one in clusters.items()
    }
    assert {name for name in now if now[name][1] != clusters[name][1]} <= {"a2", "z8"}
    assert now["a2"][1] != now["z8"][1]


async def test_only_new_records_are_compared_where_nothing_else_changed(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    left, (header, *right) = many(80)
    await asking.load("left", text(left))
    await asking.load("right", text([header, *right[:60]]))
    planned = await asking.run("plan")
    assert (planned["status"], planned["mode"]) == ("succeeded", "plan"), planned
    assert planned["plan"]["pairs"] > 0
    assert await rows(database, scope, MATCHES) == []
    refused = await asking.post("/runs", json={"mode": "incremental"})
    assert (refused.status_code, refused.json()["code"]) == (409, "incremental_not_possible")
    assert (await asking.run())["mode"] == "full"
    before = {row["match_id"]: row for row in await rows(database, scope, MATCHES)}
    appended = await asking.load("right", text([header, *right[60:]]), append="true")
    assert (appended["status"], appended["row_count"], appended["version"]) == ("ready", 80, 2)
    assert [part["loaded"] for part in appended["parts"]] == [True, True]
    run = await asking.run()
    assert (run["status"], run["mode"]) == ("succeeded", "incremental"), run
    found = {row["match_id"]: row for row in await rows(database, scope, MATCHES)}
    pairs = {
        (row["left_identifier"][1:], row["right_identifier"][1:])
        for row in found.values()
        if row["status"] == "matched"
    }
    assert pairs == {(str(at), str(at)) for at in range(1, 80)}
    kept = [one for one in before if before[one]["found"] == "matched"]
    assert all(found[one]["explanation"] for one in kept)

    # Where a record is not as it was, all are compared.
    await asking.load("right", text([header, *right]).replace("Olga", "Olena"))
    assert (await asking.run())["mode"] == "full"


async def test_one_dataset_is_searched_for_duplicates(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    doubled = LEFT + "b1,Anna Lindquist,Uppsala,018-123456\nb2,Bram deVries,Utrecht,030-7654321\n"
    await asking.load("left", doubled)
    run = await asking.run()
    assert (run["status"], run["kind"]) == ("succeeded", "duplicates"), run
    found = await rows(database, scope, "SELECT * FROM matches WHERE status = 'matched'")
    pairs = {frozenset((row["left_identifier"], row["right_identifier"])) for row in found}
    assert pairs == {frozenset(("a1", "b1")), frozenset(("a2", "b2"))}
    assert all(row["left_record_id"] < row["right_record_id"] for row in found)
    clusters = known(await rows(database, scope, RECORDS))
    assert clusters["a1"][1] == clusters["b1"][1]
    [one] = [row for row in found if "a1" in (row["left_identifier"], row["right_identifier"])]
    await decide(database, scope, one["match_id"], "rejected")
    await asking.load("left", turned(doubled))
    assert (await asking.run())["status"] == "succeeded"
    kept = await rows(database, scope, "SELECT * FROM matches WHERE match_id = $1", one["match_id"])
    assert [row["status"] for row in kept] == ["rejected"]
    now = known(await rows(database, scope, RECORDS))
    assert now["a1"][1] != now["b1"][1]
    assert now["a2"] == clusters["a2"]


async def test_what_cannot_be_run(asking: Asking) -> None:
    missing = await asking.post("/runs", json={})
    assert (missing.status_code, missing.json()["code"]) == (409, "datasets_not_ready")
    await asking.load("left", "id,name\n1,a,b,c\n")
    failed = await asking.post("/runs", json={})
    assert failed.status_code == 409
    assert "could not be loaded" in failed.json()["detail"]
    nowhere = await asking.get(f"/runs/{uuid4()}")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "run_not_found")
    assert (await asking.get("/runs")).json() == {"items": [], "next_cursor": None}
