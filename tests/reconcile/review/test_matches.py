"""Listing matches and records without one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from muniment.db import Database, Role, TenantScope, new_id
from muniment.db.statements import observe_statements
from tests.reconcile.reconciled import EVIDENCE, Found, Reconciled, make_reconciled
from tests.reconcile.review.conftest import key_of


async def pages(client: httpx.AsyncClient, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    found, cursor = [], None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        response = await client.get(path, params=params | more)
        assert response.status_code == 200, response.text
        found.append(response.json()["items"])
        cursor = response.json()["next_cursor"]
        if cursor is None:
            return found


def ids(items: Iterable[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@pytest.fixture
async def some(database: Database, scope: TenantScope) -> Reconciled:
    """Ten matches: three equally sure ones, other stages and statuses."""
    found = [Found(n, n, confidence=1.0, stage="exact") for n in (1, 2, 3)]
    found += [Found(n, n, confidence=1 - n / 20) for n in (4, 5, 6)]
    found += [Found(n, n, "review", 1 - n / 20) for n in (7, 8, 9)]
    found += [Found(9, 10, "review", 0.1, "grouped")]
    return await make_reconciled(database, scope, 12, 11, found)


async def test_the_surest_come_first_and_none_is_left_out(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    path = f"/v1/reconciliations/{some.id}/matches"
    found = await pages(client, path, limit=2)
    assert [len(page) for page in found] == [2, 2, 2, 2, 2]
    items = [item for page in found for item in page]
    assert sorted(ids(items)) == sorted(map(str, some.matches))
    confidences = [item["confidence"] for item in items]
    assert confidences == sorted(confidences, reverse=True)
    first = items[0]
    assert (first["status"], first["found"], first["decision"]) == ("matched", "matched", None)
    assert first["explanation"] == EVIDENCE
    assert first["left"]["identifier"] == f"L{first['left']['row']}"
    assert first["version"] == 1


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({"status": "review"}, [7, 8, 9, 9]),
    ({"stage": "exact"}, [1, 2, 3]),
    ({"stage": "grouped", "status": "review"}, [9]),
    ({"stage": "grouped", "status": "matched"}, []),
    ({"min_confidence": 0.7}, [1, 2, 3, 4, 5, 6]),
    ({"max_confidence": 0.65}, [7, 8, 9, 9]),
    ({"min_confidence": 0.55, "max_confidence": 0.7}, [6, 7, 8, 9]),
    ({"status": "accepted"}, []),
]


async def test_filters_combine(client: httpx.AsyncClient, some: Reconciled) -> None:
    for params, rows in FILTERS:
        found = await pages(client, f"/v1/reconciliations/{some.id}/matches", limit=2, **params)
        assert sorted(item["left"]["row"] for page in found for item in page) == rows, params


async def test_matches_of_a_record(client: httpx.AsyncClient, some: Reconciled) -> None:
    path = f"/v1/reconciliations/{some.id}/matches"
    found = await pages(client, path, limit=1, record_id=str(some.record("left", 9)))
    assert [page[0]["right"]["row"] for page in found] == [9, 10]
    found = await pages(client, path, record_id=str(some.record("right", 10)), status="review")
    assert [item["left"]["row"] for item in found[0]] == [9]


async def test_a_match_is_shown_with_its_records_and_competitors(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    response = await client.get(f"/v1/reconciliations/{some.id}/matches/{some.matches[8]}")
    assert response.status_code == 200, response.text
    match = response.json()
    assert match["left_values"] == {"name": "left 9"}
    assert match["right_values"] == {"name": "right 9"}
    assert ids(match["competing"]) == [str(some.matches[9])]
    assert match["decisions"] == []


async def test_a_page_costs_two_statements_and_a_match_four(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    of = f"/v1/reconciliations/{some.id}"
    for path, budget in [
        ("/matches", 2),
        ("/matches?stage=exact", 2),
        (f"/matches?record_id={some.record('left', 9)}", 2),
        (f"/matches/{some.matches[0]}", 4),
        ("/unmatched", 2),
        ("/decisions", 2),
        (f"/decisions?match_id={some.matches[0]}", 2),
        ("/report", 2),
    ]:
        ran: list[str] = []
        with observe_statements(lambda name, *_, ran=ran: ran.append(name)):
            assert (await client.get(of + path)).status_code == 200
        assert len([name for name in ran if name.startswith("reconcile")]) == budget, (path, ran)


async def test_records_without_a_match_that_holds(
    client: httpx.AsyncClient, some: Reconciled
) -> None:
    path = f"/v1/reconciliations/{some.id}/unmatched"
    found = [item for page in await pages(client, path, limit=2) for item in page]
    assert [(item["row"], item["in_review"]) for item in found] == [
        (7, 1), (8, 1), (9, 2), (10, 0), (11, 0), (12, 0),
    ]  # fmt: skip
    assert found[0]["values"] == {"name": "left 7"}
    right = [item for page in await pages(client, path, side="right") for item in page]
    assert [item["row"] for item in right] == [7, 8, 9, 10, 11]


async def test_a_page_of_unmatched_records_ends_after_so_many_were_looked_at(
    client: httpx.AsyncClient, some: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.reconcile.review.matches._WINDOW", 4)
    path = f"/v1/reconciliations/{some.id}/unmatched"
    found = await pages(client, path)
    assert [[item["row"] for item in page] for page in found] == [[], [7, 8], [9, 10, 11, 12]]


async def test_of_one_dataset_both_records_are_on_the_left(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(database, scope, 4, None, [Found(1, 3)], kind="duplicates")
    of = f"/v1/reconciliations/{made.id}"
    (match,) = (await pages(client, f"{of}/matches"))[0]
    assert (match["left"]["row"], match["right"]["row"]) == (1, 3)
    detail = (await client.get(f"{of}/matches/{match['id']}")).json()
    assert detail["right_values"] == {"name": "left 3"}
    assert [item["row"] for item in (await pages(client, f"{of}/unmatched"))[0]] == [2, 4]
    assert (await pages(client, f"{of}/unmatched", side="right")) == [[]]


async def test_a_match_of_a_record_that_is_gone_is_not_shown(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, some: Reconciled
) -> None:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute(
            "UPDATE matches SET right_row = NULL WHERE match_id = $1", some.matches[0]
        )
    of = f"/v1/reconciliations/{some.id}"
    found = await pages(client, f"{of}/matches", stage="exact")
    assert str(some.matches[0]) not in ids(found[0])
    assert (await pages(client, f"{of}/unmatched", limit=1))[0][0]["row"] == 1


async def test_another_organizations_reconciliation_is_not_there(
    client: httpx.AsyncClient, database: Database, other_scope: TenantScope
) -> None:
    theirs = await make_reconciled(database, other_scope, 2, 2, [Found(1, 1)])
    for path in ("matches", "unmatched", "decisions", "report", f"matches/{theirs.matches[0]}"):
        response = await client.get(f"/v1/reconciliations/{theirs.id}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "reconciliation_not_found")


async def test_a_match_of_another_reconciliation_is_not_there(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, some: Reconciled
) -> None:
    other = await make_reconciled(database, scope, 1, 1, [Found(1, 1)])
    for match_id in (other.matches[0], new_id()):
        response = await client.get(f"/v1/reconciliations/{some.id}/matches/{match_id}")
        assert (response.status_code, response.json()["code"]) == (404, "match_not_found")


async def test_viewers_look_and_do_not_decide(
    client: httpx.AsyncClient, database: Database, scope: TenantScope, some: Reconciled
) -> None:
    viewer = await key_of(database, scope, Role.VIEWER)
    of = f"/v1/reconciliations/{some.id}"
    assert (await client.get(f"{of}/matches", headers=viewer)).status_code == 200
    asked = {"filter": {"status": "review"}, "action": "accept"}
    response = await client.post(f"{of}/decisions", json=asked, headers=viewer)
    assert response.status_code == 403
