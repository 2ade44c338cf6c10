"""Deciding upon matches: versions, all or nothing, history, clusters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from muniment.db import Database, TenantScope
from muniment.db.statements import observe_statements
from tests.reconcile.reconciled import Entry, Found, Reconciled, make_reconciled


class Reviewer:
    """Asks for decisions on a reconciliation, and looks at what came of them."""

    def __init__(self, client: httpx.AsyncClient, database: Database, scope: TenantScope) -> None:
        self._client, self._database, self._scope = client, database, scope

    async def decide(self, of: Reconciled, *asked: dict[str, Any], **more: Any) -> httpx.Response:
        body = ({"decisions": list(asked)} if asked else {}) | more
        return await self._client.post(f"/v1/reconciliations/{of.id}/decisions", json=body)

    async def done(self, of: Reconciled, *asked: dict[str, Any], **more: Any) -> dict[str, Any]:
        response = await self.decide(of, *asked, **more)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result

    async def match(self, of: Reconciled, number: int) -> dict[str, Any]:
        path = f"/v1/reconciliations/{of.id}/matches/{of.matches[number]}"
        found: dict[str, Any] = (await self._client.get(path)).json()
        return found

    async def history(self, of: Reconciled) -> list[dict[str, Any]]:
        response = await self._client.get(f"/v1/reconciliations/{of.id}/decisions")
        found: list[dict[str, Any]] = response.json()["items"]
        return found

    async def clusters(self, of: Reconciled) -> dict[str, UUID]:
        """Return the cluster of each record, as ``L1``."""
        async with self._database.unit_of_work(self._scope) as work:
            rows = await work.connection.fetch(
                "SELECT identifier, cluster_id FROM records WHERE reconciliation_id = $1", of.id
            )
        return {row["identifier"]: row["cluster_id"] for row in rows}

    async def audited(self) -> list[dict[str, Any]]:
        async with self._database.unit_of_work(self._scope) as work:
            rows = await work.connection.fetch(
                "SELECT after FROM audit_log WHERE action = 'match.decided' ORDER BY entry_id"
            )
        return [row["after"] for row in rows]


@pytest.fixture
def reviewer(client: httpx.AsyncClient, database: Database, scope: TenantScope) -> Reviewer:
    return Reviewer(client, database, scope)


@pytest.fixture
async def some(database: Database, scope: TenantScope) -> Reconciled:
    """Three matches and three for review, of rows 1 to 6."""
    found = [Found(n, n, confidence=0.9) for n in (1, 2, 3)]
    found += [Found(n, n, "review", 0.4, "grouped") for n in (4, 5, 6)]
    return await make_reconciled(database, scope, 8, 8, found)


def upon(of: Reconciled, number: int, action: str, version: int = 1) -> dict[str, Any]:
    return {"match_id": str(of.matches[number]), "action": action, "version": version}


def groups(clusters: dict[str, UUID]) -> list[str]:
    """Return which records are together, alone ones left out."""
    members: dict[UUID, list[str]] = {}
    for name, cluster in sorted(clusters.items()):
        members.setdefault(cluster, []).append(name)
    return sorted(" ".join(names) for names in members.values() if len(names) > 1)


async def test_each_action_and_its_way_back(reviewer: Reviewer, some: Reconciled) -> None:
    done = await reviewer.done(
        some, upon(some, 3, "accept"), upon(some, 0, "reject"), upon(some, 1, "unmatch")
    )
    assert (done["decided"], done["more"]) == (3, False)
    assert [(m["status"], m["version"]) for m in done["matches"]] == [
        ("accepted", 2), ("rejected", 2), ("unmatched", 2),
    ]  # fmt: skip
    match = await reviewer.match(some, 0)
    assert (match["status"], match["found"], match["decision"]) == (
        "rejected", "matched", "rejected",
    )  # fmt: skip
    assert match["decided_by"].startswith("api_key:")
    assert match["decided_at"] is not None
    done = await reviewer.done(some, *(upon(some, n, "reset", 2) for n in (0, 1, 3)))
    assert [m["status"] for m in done["matches"]] == ["matched", "matched", "review"]
    match = await reviewer.match(some, 0)
    assert (match["decision"], match["decided_by"], match["decided_at"]) == (None, None, None)
    assert [entry["action"] for entry in match["decisions"]] == ["reset", "reject"]


async def test_the_history_tells_who_decided_what_and_why(
    reviewer: Reviewer, some: Reconciled
) -> None:
    await reviewer.done(some, upon(some, 3, "accept") | {"note": "same invoice"})
    (entry,) = await reviewer.history(some)
    assert entry["match_id"] == str(some.matches[3])
    assert entry["left_record_id"] == str(some.record("left", 4))
    assert (entry["status_before"], entry["status_after"]) == ("review", "accepted")
    assert (entry["action"], entry["version"], entry["note"]) == ("accept", 2, "same invoice")
    assert entry["actor"].startswith("api_key:")
    assert await reviewer.audited() == [
        {"decisions": {"accept": 1}, "match_ids": [str(some.matches[3])]}
    ]


async def test_of_a_conflict_nothing_is_decided(reviewer: Reviewer, some: Reconciled) -> None:
    await reviewer.done(some, upon(some, 3, "reject"))
    before = await reviewer.history(some)
    unknown = {"match_id": str(uuid4()), "action": "accept", "version": 1}
    response = await reviewer.decide(
        some, upon(some, 4, "accept"), upon(some, 3, "accept"), unknown
    )
    assert (response.status_code, response.json()["code"]) == (409, "decision_conflict")
    assert response.json()["errors"] == [
        {
            "pointer": "#/decisions/1",
            "match_id": str(some.matches[3]),
            "detail": "The match has changed since it was read.",
            "status": "rejected",
            "version": 2,
        },
        {
            "pointer": "#/decisions/2",
            "match_id": unknown["match_id"],
            "detail": "There is no such match (any more).",
        },
    ]
    assert (await reviewer.match(some, 4))["status"] == "review"
    assert await reviewer.history(some) == before


async def test_a_filter_decides_upon_all_that_it_means(
    reviewer: Reviewer, some: Reconciled
) -> None:
    done = await reviewer.done(some, filter={"stage": "grouped"}, action="accept", note="all")
    assert (done["decided"], done["more"]) == (3, False)
    assert {entry["note"] for entry in await reviewer.history(some)} == {"all"}
    again = await reviewer.done(some, filter={"stage": "grouped"}, action="accept")
    assert again["decided"] == 0
    done = await reviewer.done(some, filter={"min_confidence": 0.8}, action="unmatch")
    assert {m["status"] for m in done["matches"]} == {"unmatched"}
    assert done["decided"] == 3
    # What somebody has decided is only meant where its status is.
    done = await reviewer.done(some, filter={}, action="reject")
    assert done["decided"] == 0
    done = await reviewer.done(some, filter={"status": "accepted"}, action="reject")
    assert done["decided"] == 3
    done = await reviewer.done(some, filter={}, action="reset")
    assert done["decided"] == 6
    assert (await reviewer.audited())[-1]["decisions"] == {"reset": 6}


async def test_a_filter_is_taken_in_bounded_parts(
    reviewer: Reviewer, database: Database, scope: TenantScope
) -> None:
    found = [Found(n, n, "review", 0.5) for n in range(1, 1502)]
    many = await make_reconciled(database, scope, 1501, 1501, found)
    first = await reviewer.done(many, filter={"status": "review"}, action="accept")
    assert (first["decided"], first["more"]) == (1000, True)
    rest = await reviewer.done(many, filter={"status": "review"}, action="accept")
    assert (rest["decided"], rest["more"]) == (501, False)
    clusters = await reviewer.clusters(many)
    assert all(clusters[f"L{n}"] == clusters[f"R{n}"] for n in range(1, 1502))
    assert len(set(clusters.values())) == 1501


async def test_two_records_are_put_together_by_hand(reviewer: Reviewer, some: Reconciled) -> None:
    pair = {
        "left_record_id": str(some.record("left", 7)),
        "right_record_id": str(some.record("right", 8)),
        "action": "accept",
        "note": "seen on paper",
    }
    done = await reviewer.done(some, pair)
    (match,) = done["matches"]
    assert match["status"] == "accepted"
    assert "L7 R8" in groups(await reviewer.clusters(some))
    (entry,) = await reviewer.history(some)
    assert (entry["status_before"], entry["note"]) == ("unmatched", "seen on paper")
    # It is a match like any other from then on.
    response = await reviewer.decide(some, pair)
    assert response.status_code == 409
    assert response.json()["errors"][0]["match_id"] == match["id"]
    asked = {"match_id": match["id"], "action": "reset", "version": match["version"]}
    assert (await reviewer.done(some, asked))["matches"][0]["status"] == "unmatched"
    assert "L7 R8" not in groups(await reviewer.clusters(some))


async def test_entries_of_ledgers_put_together_are_applied_to_each_other(
    reviewer: Reviewer, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(
        database,
        scope,
        [Entry(identifier="L1", amount=Decimal("-120.50"), currency="EUR")],
        [Entry(identifier="R1", amount=Decimal("100.00"), currency="EUR")],
        [],
        kind="ledger",
    )
    pair = {
        "left_record_id": str(made.record("left", 1)),
        "right_record_id": str(made.record("right", 1)),
        "action": "accept",
    }
    done = await reviewer.done(made, pair)
    made.matches = [UUID(done["matches"][0]["id"])]
    match = await reviewer.match(made, 0)
    assert (match["amount"], match["currency"]) == ("100.00", "EUR")
    assert (match["stage"], match["confidence"]) == ("decision", 1.0)


async def test_of_one_dataset_a_pair_is_the_same_either_way(
    reviewer: Reviewer, database: Database, scope: TenantScope
) -> None:
    made = await make_reconciled(database, scope, 3, None, [], kind="duplicates")
    one, other = str(made.record("left", 1)), str(made.record("left", 2))
    pair = {"left_record_id": one, "right_record_id": other, "action": "accept"}
    turned = {"left_record_id": other, "right_record_id": one, "action": "accept"}
    await reviewer.done(made, pair)
    assert (await reviewer.decide(made, turned)).status_code == 409
    assert groups(await reviewer.clusters(made)) == ["L1 L2"]


REFUSED: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"decisions": [], "filter": {}}, None),
    ({"filter": {}}, None),
    ({"filter": {"unknown": 1}, "action": "accept"}, None),
    ({"decisions": [{"action": "accept"}]}, "#/decisions/0"),
    ({"decisions": [{"action": "accept", "match_id": str(uuid4())}]}, "#/decisions/0"),
    (
        {"decisions": [{"action": "accept", "match_id": str(UUID(int=1)), "version": 1}] * 2},
        "#/decisions/1",
    ),
    (
        {
            "decisions": [
                {
                    "action": "reject",
                    "left_record_id": str(uuid4()),
                    "right_record_id": str(uuid4()),
                }
            ]
        },
        "#/decisions/0",
    ),
    (
        {
            "decisions": [
                {
                    "action": "accept",
                    "left_record_id": str(uuid4()),
                    "right_record_id": str(uuid4()),
                }
            ]
        },
        "#/decisions/0/left_record_id",
    ),
]


async def test_what_cannot_be_decided_is_refused(reviewer: Reviewer, some: Reconciled) -> None:
    for body, pointer in REFUSED:
        response = await reviewer.decide(some, **body)
        assert response.status_code == 422, (body, response.text)
        if pointer is not None:
            assert response.json()["errors"][0]["pointer"] == pointer
    assert await reviewer.history(some) == []


async def test_a_decision_takes_a_bounded_number_of_statements(
    reviewer: Reviewer, some: Reconciled
) -> None:
    ran: list[str] = []
    with observe_statements(lambda name, *_: ran.append(name)):
        await reviewer.done(some, *(upon(some, n, "accept") for n in (0, 3, 4, 5)))
    ours = [name for name in ran if name.startswith(("reconcile", "tenancy.audit"))]
    assert [name.rpartition(".")[2] for name in ours] == [
        "hold_reconciliation", "sides", "decide", "records_of_clusters", "pairs_of_records",
        "move_records", "follow_clusters", "insert_entry",
    ]  # fmt: skip


# --- clusters -------------------------------------------------------------------------------------


async def test_clusters_follow_decisions_and_keep_their_ids(
    reviewer: Reviewer, some: Reconciled
) -> None:
    before = await reviewer.clusters(some)
    assert groups(before) == ["L1 R1", "L2 R2", "L3 R3"]
    await reviewer.done(some, upon(some, 3, "accept"), upon(some, 0, "unmatch"))
    after = await reviewer.clusters(some)
    assert groups(after) == ["L2 R2", "L3 R3", "L4 R4"]
    assert after["L4"] == min(before["L4"], before["R4"])
    untouched = ["L2", "R2", "L3", "R3", "L5", "R5", "L8"]
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert before["L1"] in (after["L1"], after["R1"])
    assert after["L1"] != after["R1"]
    # The pair that is put together again is the cluster that it was.
    await reviewer.done(some, upon(some, 0, "reset", 2))
    assert (await reviewer.clusters(some))["L1"] in (after["L1"], after["R1"])


async def test_what_somebody_rejected_no_chain_joins(
    reviewer: Reviewer, database: Database, scope: TenantScope
) -> None:
    found = [Found(1, 2, "review", 0.9), Found(2, 3, "review", 0.8), Found(1, 3, "review", 0.5)]
    found += [Found(3, 4, "review", 0.7)]
    made = await make_reconciled(database, scope, 4, None, found, kind="duplicates")
    await reviewer.done(made, *(upon(made, n, "accept") for n in (0, 1, 3)))
    assert groups(await reviewer.clusters(made)) == ["L1 L2 L3 L4"]
    await reviewer.done(made, upon(made, 2, "reject"))
    # The least sure link of the chain is left out: 2 with 3.
    assert groups(await reviewer.clusters(made)) == ["L1 L2", "L3 L4"]
    # Now 2 may be with 3, which is in another cluster than what was decided upon.
    await reviewer.done(made, upon(made, 0, "reject", 2))
    assert groups(await reviewer.clusters(made)) == ["L2 L3 L4"]
    await reviewer.done(made, upon(made, 2, "reset", 2), upon(made, 0, "reset", 3))
    await reviewer.done(made, upon(made, 0, "accept", 4))
    assert groups(await reviewer.clusters(made)) == ["L1 L2 L3 L4"]


async def test_another_organizations_matches_are_left_alone(
    reviewer: Reviewer, database: Database, other_scope: TenantScope, some: Reconciled
) -> None:
    theirs = await make_reconciled(database, other_scope, 2, 2, [Found(1, 1)])
    response = await reviewer.decide(theirs, upon(theirs, 0, "reject"))
    assert (response.status_code, response.json()["code"]) == (404, "reconciliation_not_found")
    response = await reviewer.decide(some, upon(theirs, 0, "reject"))
    assert (response.status_code, response.json()["code"]) == (409, "decision_conflict")
    async with database.unit_of_work(other_scope) as work:
        assert await work.connection.fetchval("SELECT status FROM matches") == "matched"
