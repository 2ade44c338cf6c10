"""Many reviewers at once: every decision is kept, and whoever comes second is told so."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from muniment.db import Database, Role, TenantScope
from muniment.reconcile.clusters import components
from tests.app.conftest import application, client_of
from tests.reconcile.reconciled import Found, Reconciled, make_reconciled
from tests.reconcile.review.conftest import key_of

REVIEWERS = 20
MATCHES = 500
TOGETHER = 5
ACTIONS = ("accept", "reject", "accept", "unmatch")
DECIDED = {"accept": "accepted", "reject": "rejected", "unmatch": "unmatched"}


@dataclass
class Work:
    """What one reviewer has decided, and how often somebody else was first."""

    decided: dict[UUID, str] = field(default_factory=dict)
    conflicts: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


async def review(
    client: httpx.AsyncClient, path: str, key: dict[str, str], own: Sequence[UUID], action: str
) -> Work:
    """Decide upon matches a few at a time; leave to others what they were faster with."""
    work, left = Work(), list(own)
    while left:
        some = left[:TOGETHER]
        asked = [{"match_id": str(one), "action": action, "version": 1} for one in some]
        response = await client.post(path, json={"decisions": asked}, headers=key)
        work.statuses[response.status_code] += 1
        if response.status_code == 200:
            work.decided.update((UUID(m["id"]), m["status"]) for m in response.json()["matches"])
            left = left[TOGETHER:]
        else:
            taken = {UUID(fault["match_id"]) for fault in response.json()["errors"]}
            assert taken <= set(some)
            work.conflicts += len(taken)
            left = [one for one in left if one not in taken]
    return work


async def test_no_decision_of_twenty_reviewers_is_lost(
    database: Database, scope: TenantScope
) -> None:
    # Left n may be right n or right n + 1: what one accepts joins what another has.
    found = [Found(n // 2 + 1, (n + 1) // 2 + 1, "review", 0.5) for n in range(MATCHES)]
    made = await make_reconciled(database, scope, MATCHES // 2, MATCHES // 2 + 1, found)
    path = f"/v1/reconciliations/{made.id}/decisions"
    # Every match is given to two reviewers.
    shuffled = [random.Random(turn).sample(made.matches, MATCHES) for turn in (1, 2)]
    share = 2 * MATCHES // REVIEWERS
    shares = [ids[at : at + share] for ids in shuffled for at in range(0, MATCHES, share)]
    async with client_of(application(database)) as client:
        keys = [await key_of(database, scope, Role.EDITOR) for _ in range(REVIEWERS)]
        works = await asyncio.gather(
            *(
                review(client, path, key, own, ACTIONS[number % len(ACTIONS)])
                for number, (key, own) in enumerate(zip(keys, shares, strict=True))
            )
        )
    assert len(shares) == REVIEWERS
    assert set().union(*(work.statuses for work in works)) == {200, 409}
    told = Counter(match for work in works for match in work.decided)
    assert set(told) == set(made.matches)
    assert set(told.values()) == {1}
    assert sum(work.conflicts for work in works) == MATCHES
    await _nothing_is_lost(database, scope, made, works)


async def _nothing_is_lost(
    database: Database, scope: TenantScope, made: Reconciled, works: Sequence[Work]
) -> None:
    said = {match: status for work in works for match, status in work.decided.items()}
    async with database.unit_of_work(scope) as work:
        fetch = work.connection.fetch
        matches = await fetch(
            "SELECT match_id, left_record_id, right_record_id, status, version, decided_by"
            " FROM matches"
        )
        decisions = await fetch("SELECT match_id, status_after, version, actor FROM decisions")
        records = await fetch("SELECT record_id, cluster_id FROM records")
    assert {row["match_id"]: row["status"] for row in matches} == said
    assert {row["version"] for row in matches} == {2}
    kept = {(row["match_id"], row["status"], row["version"], row["decided_by"]) for row in matches}
    noted = {tuple(row.values()) for row in decisions}
    assert kept == noted
    assert len(decisions) == len(matches)
    holding = [
        (row["left_record_id"], row["right_record_id"])
        for row in matches
        if row["status"] == "accepted"
    ]
    apart = [
        (row["left_record_id"], row["right_record_id"])
        for row in matches
        if row["status"] == "rejected"
    ]
    cluster = {row["record_id"]: row["cluster_id"] for row in records}
    groups = components(list(cluster), holding, apart)
    assert all(len({cluster[record] for record in group}) == 1 for group in groups)
    assert len(set(cluster.values())) == len(groups)
