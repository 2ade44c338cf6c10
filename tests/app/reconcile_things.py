"""Reconciliations for requests to name, in the organizations of a world."""

from __future__ import annotations

from tests.app.callers import Home, World
from tests.reconcile.reconciled import Entry, Found, Reconciled, write_reconciled

RECORDS = b"name,city\nAnna,Uppsala\nBram,Utrecht\n"
CONNECTIONS = {"books": "postgresql://reader@localhost/books"}
"""A setting of applications whose routes are all asked."""


async def reconciliation(world: World, home: Home) -> Reconciled:
    """Make a reconciliation of the first workspace: two datasets, a run and its matches."""
    connection = world._work.connection
    await connection.execute("SELECT set_config('muniment.org_id', $1, true)", home.org_id.hex)
    try:
        return await write_reconciled(
            world._work,
            [Entry({"name": "Anna"}, "L1"), Entry({"name": "Bram"}, "L2")],
            [Entry({"name": "Anna"}, "R1"), Entry({"name": "Bram"}, "R2")],
            [Found(1, 1), Found(2, 2, "review", 0.4)],
            compared=[("name", "name")],
            workspace_id=home.first,
        )
    finally:
        await connection.execute("SELECT set_config('muniment.org_id', '', true)")
