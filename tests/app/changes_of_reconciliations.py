"""Changes to reconciliations, their datasets and runs."""

from __future__ import annotations

from uuid import uuid4

from tests.app.api_processes import Ask
from tests.app.callers import Home, World
from tests.app.reconcile_things import RECORDS, reconciliation
from tests.app.visible_changes import (
    Change,
    Reading,
    Shows,
    changes,
    counts,
    get,
    key,
    lists,
    lists_not,
    status,
    tells,
)

_OF = "/v1/reconciliations/{reconciliation_id}"


@changes("POST /v1/reconciliations")
async def create(world: World, home: Home) -> Change:
    owner = await key(world, home)
    wanted = {"name": "New", "workspace_id": str(home.first)}
    return Change(
        Ask("POST", "/v1/reconciliations", owner, {"json": wanted}),
        [Reading(get("/v1/reconciliations", owner), lists())],
    )


@changes(f"PATCH {_OF}")
async def rename(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}"
    name = f"renamed {uuid4()}"
    return Change(
        Ask("PATCH", path, owner, {"json": {"name": name}}),
        [
            Reading(get(path, owner), tells(name, "name")),
            Reading(get("/v1/reconciliations", owner), lists(name, "name")),
        ],
    )


@changes(f"DELETE {_OF}")
async def delete(world: World, home: Home) -> Change:
    owner, made = await key(world, home), await reconciliation(world, home)
    path = f"/v1/reconciliations/{made.id}"
    return Change(
        Ask("DELETE", path, owner),
        [
            Reading(get(path, owner), status(404)),
            Reading(get("/v1/reconciliations", owner), lists_not(str(made.id))),
        ],
    )


@changes(f"PUT {_OF}/rules")
async def put_rules(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}"
    return Change(
        Ask("PUT", f"{path}/rules", owner, {"json": {"rules": {"threshold": 0.9}}}),
        [
            Reading(get(f"{path}/rules", owner), tells(0.9, "rules", "threshold")),
            Reading(get(path, owner), tells(2, "rules_version")),
        ],
    )


@changes(f"POST {_OF}/datasets")
async def upload(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}/datasets"
    body = {"files": [("file", ("people.csv", RECORDS))], "data": {"side": "evidence"}}
    return Change(
        Ask("POST", path, owner, body),
        [
            Reading(get(path, owner), counts(3)),
            Reading(get(f"{path}/evidence", owner), tells("loading", "status")),
            Reading(get("/v1/jobs", owner), counts(1)),
        ],
    )


@changes(f"POST {_OF}/datasets/query")
async def give_query(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}/datasets"
    wanted = {"side": "left", "connection": "books", "sql": "SELECT 1 AS one", "name": "Books"}
    return Change(
        Ask("POST", f"{path}/query", owner, {"json": wanted}),
        [Reading(get(path, owner), lists("Books", "name"))],
    )


@changes(f"POST {_OF}/datasets/documents")
async def give_document(world: World, home: Home) -> Change:
    owner, document_id = await key(world, home), await world.document(home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}/datasets"
    wanted = {"side": "left", "document_id": str(document_id), "name": "Books"}
    return Change(
        Ask("POST", f"{path}/documents", owner, {"json": wanted}),
        [Reading(get(path, owner), lists("Books", "name"))],
    )


@changes(f"PATCH {_OF}/datasets/{{side}}")
async def change_columns(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}/datasets/left"
    wanted = {"columns": {"name": {"role": "free_text"}}}
    return Change(
        Ask("PATCH", path, owner, {"json": wanted}),
        [
            Reading(get(path, owner), tells("loading", "status")),
            Reading(get(path, owner), tells("free_text", "overrides", "name", "role")),
        ],
    )


@changes(f"DELETE {_OF}/datasets/{{side}}")
async def delete_dataset(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}/datasets"
    return Change(
        Ask("DELETE", f"{path}/left", owner),
        [
            Reading(get(f"{path}/left", owner), status(404)),
            Reading(get(path, owner), lists_not("left", "side")),
        ],
    )


@changes(f"POST {_OF}/runs")
async def run(world: World, home: Home) -> Change:
    owner = await key(world, home)
    path = f"/v1/reconciliations/{(await reconciliation(world, home)).id}"
    return Change(
        Ask("POST", f"{path}/runs", owner, {"json": {"mode": "full"}}),
        [
            Reading(get(f"{path}/runs", owner), counts(2)),
            Reading(get(path, owner), last_run("queued")),
        ],
    )


def last_run(wanted: str) -> Shows:
    """The reconciliation's last run stands so."""
    return tells(wanted, "last_run", "status")
