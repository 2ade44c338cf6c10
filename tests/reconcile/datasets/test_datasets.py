"""Datasets over HTTP: loaded, refused, added to, decided upon, deleted."""

from __future__ import annotations

import httpx
import pytest

from muniment.db import Database, TenantScope, observe_statements
from muniment.settings import Settings
from muniment.tier_settings import Tiers
from tests.conftest import Clone
from tests.reconcile.people import LEFT, turned
from tests.reconcile.served import Asking, api_of, rows, worker_of

RAGGED = "id,name,city,phone\nb1,Greta,Brno\n"
COUNT = "SELECT count(*) AS count FROM records"


@pytest.mark.usefixtures("worker")
async def test_a_bad_file_leaves_what_was_there(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    loaded = await asking.load("left", LEFT)
    assert (loaded["status"], loaded["error"]) == ("ready", None)
    answer = await asking.upload("left", RAGGED, filename="bad.csv")
    assert answer.json()["dataset"]["status"] == "loading"
    job = await asking.ended(answer)
    assert (job["status"], job["error"]["code"], job["attempts"]) == ("failed", "load_failed", 1)
    assert "Row 1" in job["error"]["detail"]
    failed = (await asking.get("/datasets/left")).json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "dataset_ragged_row")
    [fault] = failed["faults"]
    assert (fault["row"], fault["line"], fault["column"]) == (1, 2, "phone")
    assert (failed["version"], failed["row_count"]) == (1, 5)
    assert [part["name"] for part in failed["parts"]] == ["left.csv"]
    [count] = await rows(database, scope, COUNT)
    assert count["count"] == 5
    preview = (await asking.get("/datasets/left/preview")).json()
    assert preview["originals"][0]["name"] == "Anna Lindqvist"

    more = await asking.load("left", "name,id,city,phone\nGreta Lund,b1,Oslo,1\n", append="true")
    assert (more["status"], more["row_count"], more["version"]) == ("ready", 6, 2)
    wrong = await asking.load("left", "name,id,town\nGreta Lund,b1,Oslo\n", append="true")
    assert (wrong["status"], wrong["row_count"]) == ("failed", 6)
    assert "town" in wrong["error"]["detail"]


@pytest.mark.usefixtures("worker")
async def test_columns_are_decided_and_left_to_the_inference_again(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    first = await asking.load("left", LEFT)
    inferred = {column["name"]: column["role"] for column in first["columns"]}
    assert inferred["id"] == "identifier"
    before = await rows(database, scope, "SELECT record_id FROM records ORDER BY row")
    unknown = {"columns": {"surname": {"role": "name"}}}
    refused = await asking.ask("PATCH", "/datasets/left", json=unknown)
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_column")
    for wanted, role in (({"role": "free_text"}, "free_text"), (None, inferred["city"])):
        answer = await asking.ask("PATCH", "/datasets/left", json={"columns": {"city": wanted}})
        assert answer.status_code == 202
        assert (await asking.ended(answer))["status"] == "succeeded"
        shown = (await asking.get("/datasets/left")).json()
        columns = {column["name"]: column for column in shown["columns"]}
        assert (columns["city"]["role"], columns["city"]["overridden"]) == (
            role,
            wanted is not None,
        )
    assert await rows(database, scope, "SELECT record_id FROM records ORDER BY row") == before


async def test_what_is_given_while_nothing_is_loaded_is_loaded_together(
    asking: Asking,
    database: Database,
    worker_database: Database,
    scope: TenantScope,
    settings: Settings,
) -> None:
    none = await asking.upload("left", LEFT, append="true")
    assert (none.status_code, none.json()["code"]) == (409, "nothing_to_append_to")
    cancelled = await asking.upload("left", RAGGED)
    path = f"{cancelled.headers['location']}/cancel"
    assert (await asking.client.post(path, headers=asking.headers)).status_code == 202
    stuck = (await asking.get("/datasets/left")).json()
    assert (stuck["status"], stuck["error"]["code"]) == ("failed", "job_cancelled")
    assert (await asking.get("")).json()["datasets"][0]["status"] == "failed"
    nothing = await asking.get("/datasets/left/preview")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "dataset_not_loaded")

    first = await asking.upload("left", LEFT)
    second = await asking.upload("left", "id,name,city,phone\nb1,Greta,Oslo,1\n", append="true")
    assert first.json()["job"]["id"] == second.json()["job"]["id"]
    busy = await asking.post("/runs", json={})
    assert (busy.status_code, busy.json()["code"]) == (409, "datasets_not_ready")
    async with worker_of(worker_database, settings):
        await asking.ended(second)
    shown = (await asking.get("/datasets/left")).json()
    assert (shown["status"], shown["row_count"], shown["version"]) == ("ready", 6, 1)
    found = await rows(database, scope, "SELECT identifier FROM records ORDER BY row")
    assert [row["identifier"] for row in found] == ["a1", "a2", "a3", "a4", "a5", "b1"]


@pytest.mark.usefixtures("worker")
async def test_records_that_are_gone_are_deleted_and_ids_stay(
    asking: Asking, database: Database, scope: TenantScope
) -> None:
    ids = "SELECT identifier, record_id FROM records ORDER BY identifier"
    await asking.load("left", LEFT)
    before = dict(await rows(database, scope, ids))
    fewer = "\n".join(turned(LEFT).splitlines()[:4]) + "\n"
    await asking.load("left", fewer)
    after = dict(await rows(database, scope, ids))
    assert after == {name: before[name] for name in ("a3", "a4", "a5")}
    gone = await asking.ask("DELETE", "/datasets/left")
    assert gone.status_code == 204
    assert await rows(database, scope, ids) == []
    missing = await asking.get("/datasets/left")
    assert (missing.status_code, missing.json()["code"]) == (404, "dataset_not_found")


async def test_a_query_is_loaded(
    clone: Clone, database: Database, worker_database: Database, scope: TenantScope,
    settings: Settings,
) -> None:  # fmt: skip
    known = settings.model_validate(
        {**settings.model_dump(), "reconcile_connections": {"books": clone.installation.app_dsn}}
    )
    async with api_of(database, known) as api, worker_of(worker_database, known):
        asking = await Asking.making(api, database, scope)
        wanted = {
            "side": "left",
            "connection": "books",
            "sql": "SELECT n AS number, 'payer ' || n AS name FROM generate_series(1, 20) AS n",
        }
        unknown = await asking.post("/datasets/query", json={**wanted, "connection": "x"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_connection")
        answer = await asking.post("/datasets/query", json=wanted)
        assert (await asking.ended(answer))["status"] == "succeeded"
        shown = (await asking.get("/datasets/left")).json()
        assert (shown["status"], shown["row_count"], shown["name"]) == ("ready", 20, "books")
        bad = await asking.post(
            "/datasets/query", json={**wanted, "sql": "SELECT\nnothing FROM nowhere"}
        )
        await asking.ended(bad)
        failed = (await asking.get("/datasets/left")).json()
        assert (failed["status"], failed["row_count"]) == ("failed", 20)
        assert "nowhere" in failed["error"]["detail"]


@pytest.mark.usefixtures("worker")
async def test_documents_are_records(asking: Asking) -> None:
    sent = [("files", ("people.csv", LEFT)), ("files", ("note.md", "# A note"))]
    documents = await asking.client.post("/v1/documents", files=sent, headers=asking.headers)
    table, _note = documents.json()["documents"]
    answer = await asking.post("/datasets/documents", json={"side": "left", "document_id": table})
    assert answer.status_code == 202, answer.text
    await asking.ended(answer)
    shown = (await asking.get("/datasets/left")).json()
    assert (shown["status"], shown["row_count"], shown["name"]) == ("ready", 5, "people.csv")
    shown = await asking.client.get(f"/v1/documents/{table}", headers=asking.headers)
    wanted = {"side": "right", "source_id": shown.json()["source_id"]}
    answer = await asking.post("/datasets/documents", json=wanted)
    await asking.ended(answer)
    shown = (await asking.get("/datasets/right")).json()
    assert (shown["status"], shown["row_count"]) == ("ready", 2)
    neither = await asking.post("/datasets/documents", json={"side": "right"})
    assert neither.status_code == 422


async def test_what_a_file_may_not_be(
    database: Database, scope: TenantScope, settings: Settings
) -> None:
    small = settings.model_copy(update={"reconcile_max_bytes": 100})
    async with api_of(database, small) as api:
        asking = await Asking.making(api, database, scope)
        large = await asking.upload("left", LEFT)
        assert (large.status_code, large.json()["code"]) == (413, "file_too_large")
        for answer, status in (
            (await asking.upload("middle", "a,b\n1,2\n"), 422),
            (await asking.post("/datasets", data={"side": "left"}), 415),
            (await asking.post("/datasets", json={"side": "left"}), 415),
        ):
            assert answer.status_code == status, answer.text
    assert await rows(database, scope, "SELECT 1 FROM dataset_parts") == []


async def test_f31_files_of_records_take_room(
    database: Database, scope: TenantScope, settings: Settings
) -> None:
    tiers = {"enterprise": {"max_bytes": len(LEFT) * 2}}
    tight = settings.model_copy(update={"tiers": Tiers.model_validate(tiers)})
    async with api_of(database, tight) as api:
        asking = await Asking.making(api, database, scope)
        for side, status in (("left", 202), ("right", 202), ("evidence", 403)):
            answer = await asking.upload(side, LEFT)
            assert answer.status_code == status, answer.text
        used = await api.get("/v1/usage", headers=asking.headers)
        assert used.json()["bytes"] == len(LEFT) * 2
        await asking.ask("DELETE", "/datasets/left")
        used = await api.get("/v1/usage", headers=asking.headers)
        assert used.json()["bytes"] == len(LEFT)


async def test_statements_do_not_grow_with_what_is_listed(
    asking: Asking, api: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    for name in ("one", "two", "three"):
        more = await Asking.making(api, database, scope, name)
        await more.upload("left", LEFT)
        await more.upload("right", LEFT)
    await asking.upload("left", LEFT)
    ran: list[str] = []

    def note(name: str, _seconds: float, _error: BaseException | None) -> None:
        if name.startswith("reconcile."):
            ran.append(name.removeprefix("reconcile."))

    listed = Asking(api, asking.headers)
    for read, path, statements in (
        (listed, "", ["reconciliations.list_reconciliations"]),
        (asking, "", ["reconciliations.list_reconciliations"]),
        (asking, "/datasets", ["reconciliations.find_reconciliation", "datasets.list_datasets"]),
        (asking, "/datasets/left", ["reconciliations.find_reconciliation", "datasets.get_dataset"]),
        (asking, "/runs", ["reconciliations.find_reconciliation", "runs.list_runs"]),
        (asking, "/rules", ["reconciliations.find_reconciliation"]),
    ):
        ran.clear()
        with observe_statements(note):
            answer = await read.get(path)
        assert answer.status_code == 200
        assert ran == statements, path
