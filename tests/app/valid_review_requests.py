"""For each route of matches and golden records one request that succeeds, see valid_requests.py."""

from __future__ import annotations

from uuid import UUID

from muniment.db import Role
from tests.app.callers import Home, Present, World
from tests.app.reconcile_things import reconciliation
from tests.app.valid_calls import Call, Valid
from tests.app.valid_reconcile_requests import of_reconciliation

_OF = "/v1/reconciliations/{reconciliation_id:uuid}"


async def cluster_of_first(world: World, reconciliation_id: UUID) -> UUID:
    """Return the cluster of the first record of the left dataset."""
    found: UUID = await world._work.connection.fetchval(
        "SELECT cluster_id FROM records WHERE reconciliation_id = $1 AND side = 'left' AND row = 1",
        reconciliation_id,
    )
    return found


async def _match(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    return Call({"reconciliation_id": made.id, "match_id": made.matches[0]})


async def _golden(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    cluster_id = await cluster_of_first(world, made.id)
    return Call({"reconciliation_id": made.id, "cluster_id": cluster_id})


async def _set(world: World, home: Home, who: Present) -> Call:
    return Call((await _golden(world, home, who)).ids, {"json": {"values": {"name": "Annie"}}})


_BY_FILTER = {"filter": {"status": "review"}, "action": "accept"}

REVIEW: dict[str, Valid] = {
    f"GET {_OF}/matches": of_reconciliation(200),
    f"GET {_OF}/matches/{{match_id:uuid}}": Valid(200, _match, names="workspace"),
    f"GET {_OF}/unmatched": of_reconciliation(200),
    # By a filter: an unknown match of a known reconciliation is a conflict, not a lack.
    f"POST {_OF}/decisions": of_reconciliation(200, Role.EDITOR, json=_BY_FILTER),
    f"GET {_OF}/decisions": of_reconciliation(200),
    f"GET {_OF}/report": of_reconciliation(200),
    f"GET {_OF}/golden": of_reconciliation(200),
    f"GET {_OF}/golden/{{cluster_id:uuid}}": Valid(200, _golden, names="workspace"),
    f"PATCH {_OF}/golden/{{cluster_id:uuid}}": Valid(
        200, _set, names="workspace", there=Role.EDITOR
    ),
    f"GET {_OF}/export": of_reconciliation(200),
}
