"""Golden records over HTTP: listed, changed by hand, following decisions."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from muniment.db import Database, Role, TenantScope, new_id
from muniment.db.statements import observe_statements
from tests.reconcile.reconciled import Entry, Found, Reconciled, make_reconciled
from tests.reconcile.review.conftest import key_of

LEFT = [
    Entry({"name": "Müller GmbH", "town": "Bonn", "mail": ""}, "1"),
    Entry({"name": "Acme", "town": "Ulm"}, "2"),
]
RIGHT = [
    Entry({"party": "Mueller Gesellschaft", "town": "53111 Bonn", "phone": "+49 1"}, "a"),
    Entry({"party": "Other"}, "b"),
]
COLUMNS = {
    "left": [{"name": name, "type": "text"} for name in ("name", "town", "mail")],
    "right": [{"name": name, "type": "text"} for name in ("party", "town", "phone")],
}


@pytest.fixture
async def paired(database: Database, scope: TenantScope) -> Reconciled:
    """Two datasets whose names were compared, and whose towns were not."""
    return await make_reconciled(
        database, scope, LEFT, RIGHT, [Found(1, 1)], compared=[("name", "party")], columns=COLUMNS
    )


async def listed(client: httpx.AsyncClient, of: Reconciled, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        response = await client.get(f"/v1/reconciliations/{of.id}/golden", params=params | more)
        assert response.status_code == 200, response.text
        found += response.json()["items"]
        cursor = response.json()["next_cursor"]
        if cursor is None:
            return found


def of_record(golden: list[dict[str, Any]], record_id: object) -> dict[str, Any]:
    (found,) = (one for one in golden if str(record_id) in [m["record_id"] for m in one["members"]])
    return found


async def test_paired_columns_are_one_and_the_others_are_kept(
    client: httpx.AsyncClient, paired: Reconciled
) -> None:
    golden = await listed(client, paired, limit=2)
    assert len(golden) == 3
    one = of_record(golden, paired.record("left", 1))
    assert one["values"] == {
        "name": "Mueller Gesellschaft",
        "town": "Bonn",
        "mail": None,
        "town (right)": "53111 Bonn",
        "phone": "+49 1",
    }
    left, right = str(paired.record("left", 1)), str(paired.record("right", 1))
    assert one["sources"] == {
        "name": right, "town": left, "town (right)": right, "phone": right,
    }  # fmt: skip
    assert [(m["side"], m["row"], m["identifier"]) for m in one["members"]] == [
        ("left", 1, "1"), ("right", 1, "a"),
    ]  # fmt: skip
    alone = of_record(golden, paired.record("right", 2))
    assert alone["values"]["name"] == "Other"


async def test_what_is_set_by_hand_holds_until_it_is_reset(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, paired: Reconciled
) -> None:
    one = of_record(await listed(client, paired), paired.record("left", 1))
    path = f"/v1/reconciliations/{paired.id}/golden/{one['cluster_id']}"
    change = {"values": {"name": "Müller", "phone": None}}
    changed = await client.patch(path, json=change)
    assert changed.status_code == 200, changed.text
    assert changed.json()["values"]["name"] == "Müller"
    assert changed.json()["values"]["phone"] is None
    assert changed.json()["manual"] == ["name", "phone"]
    assert set(changed.json()["sources"]) == {"town", "town (right)"}
    assert (await client.get(path)).json() == changed.json()
    back = await client.patch(path, json={"reset": ["name"], "values": {"name": "ignored"}})
    assert back.json()["values"]["name"] == "Mueller Gesellschaft"
    assert back.json()["manual"] == ["phone"]
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch(
            "SELECT before, after FROM audit_log WHERE action = 'golden_record.changed'"
            " ORDER BY entry_id"
        )
    assert [(row["before"], row["after"]) for row in rows] == [
        (
            {"name": "Mueller Gesellschaft", "phone": "+49 1"},
            {"name": "Müller", "phone": None},
        ),
        ({"name": "Müller"}, {"name": "Mueller Gesellschaft"}),
    ]


async def test_what_was_set_follows_the_records_when_clusters_merge(
    client: httpx.AsyncClient, paired: Reconciled
) -> None:
    golden = await listed(client, paired)
    other = of_record(golden, paired.record("right", 2))
    path = f"/v1/reconciliations/{paired.id}/golden"
    await client.patch(f"{path}/{other['cluster_id']}", json={"values": {"phone": "+49 2"}})
    pair = {
        "left_record_id": str(paired.record("left", 1)),
        "right_record_id": str(paired.record("right", 2)),
        "action": "accept",
    }
    decided = await client.post(
        f"/v1/reconciliations/{paired.id}/decisions", json={"decisions": [pair]}
    )
    assert decided.status_code == 200
    one = of_record(await listed(client, paired), paired.record("right", 2))
    assert len(one["members"]) == 3
    assert (one["manual"], one["values"]["phone"]) == (["phone"], "+49 2")
    assert (await client.get(f"{path}/{other['cluster_id']}")).status_code == 404


async def test_unknown_columns_and_records_are_refused(
    client: httpx.AsyncClient, paired: Reconciled
) -> None:
    one = (await listed(client, paired))[0]
    path = f"/v1/reconciliations/{paired.id}/golden"
    change = {"values": {"nmae": "x"}, "reset": ["party"]}
    response = await client.patch(f"{path}/{one['cluster_id']}", json=change)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_golden_values")
    assert [fault["pointer"] for fault in response.json()["errors"]] == [
        "#/values/nmae", "#/reset/0",
    ]  # fmt: skip
    response = await client.patch(f"{path}/{new_id()}", json={})
    assert (response.status_code, response.json()["code"]) == (404, "golden_record_not_found")


async def test_others_see_nothing_and_viewers_change_nothing(
    client: httpx.AsyncClient,
    database: Database,
    scope: TenantScope,
    other_scope: TenantScope,
    paired: Reconciled,
) -> None:
    cluster_id = (await listed(client, paired))[0]["cluster_id"]
    path = f"/v1/reconciliations/{paired.id}/golden"
    theirs = await key_of(database, other_scope)
    for response in (
        await client.get(path, headers=theirs),
        await client.get(f"{path}/{cluster_id}", headers=theirs),
        await client.patch(f"{path}/{cluster_id}", json={}, headers=theirs),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "reconciliation_not_found")
    viewer = await key_of(database, scope, Role.VIEWER)
    assert (await client.get(path, headers=viewer)).status_code == 200
    response = await client.patch(f"{path}/{cluster_id}", json={}, headers=viewer)
    assert response.status_code == 403


async def test_a_page_takes_three_statements(client: httpx.AsyncClient, paired: Reconciled) -> None:
    cluster_id = (await listed(client, paired))[0]["cluster_id"]
    for path in ("", f"/{cluster_id}"):
        ran: list[str] = []
        with observe_statements(lambda name, *_, ran=ran: ran.append(name)):
            await client.get(f"/v1/reconciliations/{paired.id}/golden{path}")
        assert len([name for name in ran if name.startswith("reconcile")]) == 3
