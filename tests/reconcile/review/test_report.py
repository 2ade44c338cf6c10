"""The report: everything is counted once, and money is exact."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest

from muniment.db import Database, TenantScope
from tests.reconcile.reconciled import Entry, Found, Reconciled, make_reconciled


def entry(amount: str | None, currency: str | None, day: date | None) -> Entry:
    return Entry({}, None, None if amount is None else Decimal(amount), currency, day)


LEFT = [
    entry("100.10", "EUR", date(2024, 3, 31)),  # matched
    entry("200.20", "EUR", date(2024, 3, 1)),  # accepted
    entry("0.30", "EUR", date(2024, 2, 29)),  # in review: 31 days
    entry("7", "USD", date(2024, 1, 31)),  # ambiguous: 60 days
    entry("-5", "EUR", date(2024, 1, 1)),  # cancelled: 90 days
    entry("5", "EUR", date(2023, 12, 31)),  # cancelled: 91 days
    entry("11", None, None),  # unmatched
]
RIGHT = [
    entry("100.00", "EUR", date(2024, 3, 30)),
    entry("200.20", "EUR", date(2024, 3, 2)),
    entry("7", "USD", date(2024, 3, 3)),
    entry(None, None, date(2024, 3, 3)),
]


@pytest.fixture
async def ledger(database: Database, scope: TenantScope) -> Reconciled:
    found = [
        Found(1, 1, "matched", 0.99, "exact", Decimal("100.00")),
        Found(2, 2, "review", 0.6, "tolerance", Decimal("200.20")),
        Found(3, 3, "review", 0.4, "grouped", Decimal("0.30")),
        Found(4, 3, "review", 0.3, "grouped"),
        Found(4, 4, "review", 0.2, "grouped"),
        Found(7, 4, "review", 0.1, "grouped"),
    ]
    made = await make_reconciled(
        database,
        scope,
        LEFT,
        RIGHT,
        found,
        kind="ledger",
        offsets=[{"side": "left", "row": 5, "other_row": 6, "confidence": 0.9}],
    )
    async with database.unit_of_work(scope) as work:
        for number, decision in ((1, "accepted"), (5, "rejected")):
            await work.connection.execute(
                "UPDATE matches SET decision = $2, decided_by = 'test' WHERE match_id = $1",
                made.matches[number],
                decision,
            )
        await work.connection.execute("UPDATE matches SET currency = 'EUR'")
    return made


async def report(client: httpx.AsyncClient, of: Reconciled, **params: Any) -> dict[str, Any]:
    response = await client.get(f"/v1/reconciliations/{of.id}/report", params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_counts(client: httpx.AsyncClient, ledger: Reconciled) -> None:
    found = await report(client, ledger)
    assert found["matches"] == {
        "matched": 1, "review": 3, "accepted": 1, "rejected": 1, "unmatched": 0,
    }  # fmt: skip
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert list(stages) == ["grouped", "exact", "tolerance"]
    assert (stages["grouped"]["review"], stages["grouped"]["rejected"]) == (3, 1)
    left, right = found["records"]
    assert {name: left[name] for name in list(left)[1:]} == {
        "total": 7, "matched": 2, "review": 1, "ambiguous": 1, "offset": 2, "unmatched": 1,
        "match_rate": 2 / 7,
    }  # fmt: skip
    assert (right["matched"], right["review"], right["ambiguous"]) == (2, 1, 1)


async def test_sums(client: httpx.AsyncClient, ledger: Reconciled) -> None:
    euros, dollars, none = (await report(client, ledger))["sums"]
    assert euros == {
        "currency": "EUR",
        "left": {"total": "300.60", "matched": "300.30", "open": "0.30"},
        "right": {"total": "300.20", "matched": "300.20", "open": "0.00"},
        "applied": "300.20",
        "difference": "0.40",
        "open_difference": "0.30",
    }
    assert (dollars["currency"], dollars["left"]["open"], dollars["difference"]) == (
        "USD", "7", "0",
    )  # fmt: skip
    assert (none["currency"], none["left"]["open"], none["right"]["total"]) == (None, "11", "0")


async def test_ages_of_what_is_open(client: httpx.AsyncClient, ledger: Reconciled) -> None:
    found = await report(client, ledger)
    assert found["as_of"] == "2024-03-31"
    left, right = found["ageing"]
    assert [(age["days"], age["records"]) for age in left["ages"]] == [
        ("0-30", 0), ("31-60", 2), ("61-90", 1), ("over-90", 1), ("undated", 1),
    ]  # fmt: skip
    assert left["ages"][1]["amounts"] == [
        {"currency": "EUR", "amount": "0.30"}, {"currency": "USD", "amount": "7"},
    ]  # fmt: skip
    assert [age["records"] for age in right["ages"]] == [2, 0, 0, 0, 0]
    later = await report(client, ledger, as_of="2025-01-01")
    assert later["as_of"] == "2025-01-01"
    assert [age["records"] for age in later["ageing"][0]["ages"]] == [0, 0, 0, 4, 1]


async def test_of_one_dataset(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(database, scope, 3, None, [Found(1, 2)], kind="duplicates")
    found = await report(client, made)
    (only,) = found["records"]
    assert (only["side"], only["matched"], only["unmatched"]) == ("left", 2, 1)
    assert (found["sums"], found["as_of"]) == ([], None)
    assert found["ageing"][0]["ages"][-1] == {"days": "undated", "records": 1, "amounts": []}


async def test_of_nothing(
    client: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(database, scope, 0, 0, [])
    found = await report(client, made)
    assert set(found["matches"].values()) == {0}
    assert (found["records"], found["sums"], found["ageing"]) == ([], [], [])
