"""Decisions upon matches, and values of golden records."""

from __future__ import annotations

from tests.app.api_processes import Ask
from tests.app.callers import Home, World
from tests.app.reconcile_things import reconciliation
from tests.app.valid_review_requests import cluster_of_first
from tests.app.visible_changes import Change, Reading, changes, counts, get, key, tells

_OF = "/v1/reconciliations/{reconciliation_id}"


@changes(f"POST {_OF}/decisions")
async def decide(world: World, home: Home) -> Change:
    owner, made = await key(world, home), await reconciliation(world, home)
    path = f"/v1/reconciliations/{made.id}"
    asked = {"match_id": str(made.matches[1]), "action": "accept", "version": 1}
    return Change(
        Ask("POST", f"{path}/decisions", owner, {"json": {"decisions": [asked]}}),
        [
            Reading(get(f"{path}/matches/{made.matches[1]}", owner), tells("accepted", "status")),
            Reading(get(f"{path}/matches?status=review", owner), counts(0)),
            Reading(get(f"{path}/matches?status=accepted", owner), counts(1)),
            Reading(get(f"{path}/unmatched", owner), counts(0)),
            Reading(get(f"{path}/decisions", owner), counts(1)),
            Reading(get(f"{path}/report", owner), tells(1, "matches", "accepted")),
            Reading(get(f"{path}/golden", owner), counts(2)),
        ],
    )


@changes(f"PATCH {_OF}/golden/{{cluster_id}}")
async def set_golden_value(world: World, home: Home) -> Change:
    owner, made = await key(world, home), await reconciliation(world, home)
    cluster_id = await cluster_of_first(world, made.id)
    path = f"/v1/reconciliations/{made.id}/golden/{cluster_id}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"values": {"name": "Annie"}}}),
        [Reading(get(path, owner), tells("Annie", "values", "name"))],
    )
