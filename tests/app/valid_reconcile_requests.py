"""For each route of reconciliations one request that succeeds, see valid_requests.py."""

from __future__ import annotations

from uuid import UUID, uuid4

from muniment.db import Role
from tests.app.callers import Home, Present, World
from tests.app.reconcile_things import RECORDS, reconciliation
from tests.app.valid_calls import Call, Valid, sends

_OF = "/v1/reconciliations/{reconciliation_id:uuid}"


def of_reconciliation(status: int, there: Role | None = None, **body: object) -> Valid:
    """A request about a reconciliation of the first workspace."""

    async def make(world: World, home: Home, _who: Present) -> Call:
        return Call({"reconciliation_id": (await reconciliation(world, home)).id}, body)

    return Valid(status, make, names="workspace", there=there)


def of_dataset(status: int, there: Role | None = None, **body: object) -> Valid:
    """The same about its left dataset."""

    async def make(world: World, home: Home, _who: Present) -> Call:
        made = await reconciliation(world, home)
        return Call({"reconciliation_id": made.id, "side": "left"}, body)

    return Valid(status, make, names="workspace", there=there)


async def _new(_world: World, home: Home, _who: Present) -> Call:
    wanted = {"name": f"new {uuid4()}", "workspace_id": str(home.first)}
    return Call(body={"json": wanted})


async def _renamed(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    return Call({"reconciliation_id": made.id}, {"json": {"name": f"renamed {uuid4()}"}})


async def _upload(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    files = [("file", ("people.csv", RECORDS))]
    return Call({"reconciliation_id": made.id}, {"files": files, "data": {"side": "left"}})


async def _documents(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    document_id = str(await world.document(home))
    wanted = {"side": "left", "document_id": document_id}
    return Call({"reconciliation_id": made.id}, {"json": wanted})


async def _run(world: World, home: Home, _who: Present) -> Call:
    made = await reconciliation(world, home)
    run_id: UUID = await world._work.connection.fetchval(
        "SELECT run_id FROM reconciliation_runs WHERE reconciliation_id = $1", made.id
    )
    return Call({"reconciliation_id": made.id, "run_id": run_id})


_QUERY = {"side": "right", "connection": "books", "sql": "SELECT 1 AS number"}

RECONCILE: dict[str, Valid] = {
    "GET /v1/reconciliations": sends(200),
    "POST /v1/reconciliations": Valid(201, _new, names="workspace", there=Role.EDITOR),
    f"GET {_OF}": of_reconciliation(200),
    f"PATCH {_OF}": Valid(200, _renamed, names="workspace", there=Role.EDITOR),
    f"DELETE {_OF}": of_reconciliation(204, Role.EDITOR),
    f"GET {_OF}/rules": of_reconciliation(200),
    f"PUT {_OF}/rules": of_reconciliation(200, Role.EDITOR, json={"rules": {"threshold": 0.9}}),
    f"POST {_OF}/datasets": Valid(202, _upload, names="workspace", there=Role.EDITOR),
    f"POST {_OF}/datasets/query": of_reconciliation(202, Role.ADMIN, json=_QUERY),
    f"POST {_OF}/datasets/documents": Valid(202, _documents, names="workspace", there=Role.EDITOR),
    f"GET {_OF}/datasets": of_reconciliation(200),
    f"GET {_OF}/datasets/{{side:str}}": of_dataset(200),
    f"GET {_OF}/datasets/{{side:str}}/preview": of_dataset(200),
    f"PATCH {_OF}/datasets/{{side:str}}": of_dataset(
        202, Role.EDITOR, json={"columns": {"name": {"role": "name"}}}
    ),
    f"DELETE {_OF}/datasets/{{side:str}}": of_dataset(204, Role.EDITOR),
    f"POST {_OF}/runs": of_reconciliation(202, Role.EDITOR, json={"mode": "full"}),
    f"GET {_OF}/runs": of_reconciliation(200),
    f"GET {_OF}/runs/{{run_id:uuid}}": Valid(200, _run, names="workspace"),
}
