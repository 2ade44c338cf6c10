"""Reconciliations over HTTP: made once, listed in pages, renamed, given rules, deleted."""

from __future__ import annotations

import httpx
import pytest

from muniment.db import Database, TenantScope
from tests.reconcile.people import LEFT
from tests.reconcile.reconciled import Entry, Found, make_reconciled
from tests.reconcile.served import Asking, key, rows


async def test_made_once_and_renamed(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    first = (await asking.get("")).json()
    assert (first["name"], first["rules_version"], first["datasets"]) == ("Quarter", 1, [])
    assert first["last_run"] is None
    everything = Asking(asking.client, asking.headers)
    again = await everything.post("", json={"name": "Quarter"})
    assert (again.status_code, again.json()) == (200, first)
    other = await everything.post("", json={"name": "Year"})
    assert other.status_code == 201
    taken = await asking.ask("PATCH", "", json={"name": "Year"})
    assert (taken.status_code, taken.json()["code"]) == (409, "reconciliation_exists")
    renamed = await asking.ask("PATCH", "", json={"name": "Quarter 3"})
    assert renamed.json()["name"] == "Quarter 3"
    deleted = await everything.ask("DELETE", f"/{other.json()['id']}")
    assert deleted.status_code == 204
    log = await rows(
        database,
        scope,
        "SELECT action, target_id FROM audit_log WHERE action LIKE 'recon%' ORDER BY entry_id",
    )
    assert [row["action"].partition(".")[2] for row in log] == [
        "created",
        "created",
        "changed",
        "deleted",
    ]


async def test_f12_pages_follow(asking: Asking) -> None:
    everything = Asking(asking.client, asking.headers)
    for number in range(4):
        await everything.post("", json={"name": f"number {number}"})
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await everything.get("", params=parameters)).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert names == ["number 3", "number 2", "number 1", "number 0", "Quarter"]


@pytest.mark.usefixtures("worker")
async def test_rules_name_columns_that_are_there(asking: Asking) -> None:
    shown = (await asking.get("/rules")).json()
    assert (shown["version"], shown["rules"]["review_from"]) == (1, 0.05)
    before = {"rules": {"keys": [{"left": ["whatever"], "right": ["else"]}]}, "version": 1}
    changed = await asking.ask("PUT", "/rules", json=before)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = await asking.ask("PUT", "/rules", json={"rules": {}, "version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "rules_changed")
    same = await asking.ask("PUT", "/rules", json={**before, "version": 2})
    assert same.json() == changed.json()
    await asking.load("left", LEFT)
    wrong = await asking.ask("PUT", "/rules", json={"rules": before["rules"]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_rules")
    assert [fault["pointer"] for fault in wrong.json()["errors"]] == [
        "/rules/keys/0/left",
        "/rules/keys/0/right",
    ]
    good = {"rules": {"compare": [{"left": "name", "right": "name"}], "threshold": 0.8}}
    right = await asking.ask("PUT", "/rules", json=good)
    assert right.json()["rules"]["compare"] == [{"left": "name", "right": "name", "role": None}]
    odd = await asking.ask("PUT", "/rules", json={"rules": {"threshold": 1.5}})
    assert odd.status_code == 422


async def test_deleting_deletes_everything(
    api: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(
        database, scope, [Entry({"name": "Anna"}, "L1")], [Entry({"name": "Anna"}, "R1")],
        [Found(1, 1)],
    )  # fmt: skip
    asking = Asking(api, await key(database, scope))
    asking.path = f"/v1/reconciliations/{made.id}"
    shown = (await asking.get("")).json()
    assert [dataset["side"] for dataset in shown["datasets"]] == ["right", "left"]
    assert (await asking.ask("DELETE", "")).status_code == 204
    for table in ("datasets", "records", "matches", "reconciliation_runs", "reconciliations"):
        assert await rows(database, scope, f"SELECT 1 FROM {table}") == []
