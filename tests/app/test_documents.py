"""Documents over HTTP: sent, shown, read back, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Database, Role, TenantScope, observe_statements
from muniment.documents.blobs import BlobStore
from muniment.jobs import Lane, Worker
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from muniment.worker import TASKS, resources
from tests.app.conftest import client_of

LANES = [Lane.FAST, Lane.CONVERT]


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, convert_processes=1, max_upload_bytes=2**20)


@pytest.fixture
async def api(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    blobs = BlobStore.in_folder(settings.data_dir / "blobs")
    services = Services(database, b"secret", settings, None, search_index(), blobs)  # type: ignore[arg-type]
    async with client_of(create_app(settings, services)) as client:
        yield client


@pytest.fixture
async def worker(worker_database: Database, settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with resources(settings, LANES) as available:
        running = asyncio.create_task(
            Worker(worker_database, TASKS, available, dict.fromkeys(LANES, 2)).run(stop)
        )
        yield
        stop.set()
        await running


async def key(database: Database, scope: TenantScope, role: Role = Role.EDITOR) -> dict[str, str]:
    async with database.unit_of_work(scope) as work:
        return {"Authorization": f"Bearer {(await create_api_key(work, 'test', role)).key}"}


async def finished(api: httpx.AsyncClient, headers: dict[str, str], location: str) -> Any:
    async with asyncio.timeout(60):
        while (job := (await api.get(location, headers=headers)).json())["status"] not in {  # noqa: ASYNC110  # it runs elsewhere
            "succeeded",
            "failed",
        }:
            await asyncio.sleep(0.05)
    return job


@pytest.mark.usefixtures("worker")
async def test_upload_is_searchable_and_comes_back_as_it_was(
    api: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    headers = await key(database, scope)
    text = "# Apples\n\nA crate of apples.\n"
    sent = [("files", ("fruit/a.md", text)), ("files", ("empty.md", b""))]
    answer = await api.post("/v1/documents", files=sent, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job']['id']}"
    assert (await finished(api, headers, answer.headers["location"]))["status"] == "succeeded"

    found = await api.post(
        "/v1/search", json={"query": "crate", "mode": "lexical"}, headers=headers
    )
    [result] = found.json()["results"]
    first, empty = answer.json()["documents"]
    assert (result["document_id"], result["title"]) == (first, "Apples")
    original = await api.get(result["url"], headers=headers)
    assert original.text == text
    assert "attachment" in original.headers["content-disposition"]
    content = await api.get(f"/v1/documents/{first}/content", headers=headers)
    passages = (await api.get(f"/v1/documents/{first}/chunks", headers=headers)).json()["items"]
    start, end = passages[0]["start_offset"], passages[0]["end_offset"]
    assert content.text[start:end] == passages[0]["text"]
    shown = (await api.get(f"/v1/documents/{empty}", headers=headers)).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "empty_file")

    theirs = await key(database, other_scope)
    for path in ("", "/content", "/original", "/chunks"):
        answer = await api.get(f"/v1/documents/{first}{path}", headers=theirs)
        assert (answer.status_code, answer.json()["code"]) == (404, "document_not_found")

    assert (await api.delete(f"/v1/documents/{first}", headers=headers)).status_code == 204
    again = await api.post(
        "/v1/search", json={"query": "crate", "mode": "lexical"}, headers=headers
    )
    assert again.json()["results"] == []


async def test_same_name_replaces_and_pages_follow(
    api: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    headers = await key(database, scope)
    ids = set()
    for number in (1, 2, 3, 1):
        files = [("files", (f"{number}.md", f"text {number}"))]
        answer = await api.post("/v1/documents", files=files, headers=headers)
        ids.add(answer.json()["documents"][0])
    assert len(ids) == 3
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/documents", params=parameters, headers=headers)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(ids)


async def test_f26_several_documents_in_one_statement(
    api: httpx.AsyncClient, database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    headers, theirs = await key(database, scope), await key(database, other_scope)
    files = [("files", (f"{number}.md", f"text {number}")) for number in range(3)]
    ids = (await api.post("/v1/documents", files=files, headers=headers)).json()["documents"]
    [foreign] = (await api.post("/v1/documents", files=files[:1], headers=theirs)).json()[
        "documents"
    ]
    wanted = [ids[2], foreign, ids[0], ids[2]]
    ran: list[str] = []
    with observe_statements(lambda name, _seconds, _error: ran.append(name)):
        answer = await api.post("/v1/documents/fetch", json={"ids": wanted}, headers=headers)
    assert [name for name in ran if name.startswith("documents.")] == ["documents.fetch_documents"]
    assert [item["id"] for item in answer.json()["items"]] == [ids[2], ids[0]]
    assert answer.json()["missing"] == [foreign]
    one = await api.get(f"/v1/documents/{ids[0]}", headers=headers)
    assert answer.json()["items"][1] == one.json()
    too_many = {"ids": [foreign] * 101}
    refused = await api.post("/v1/documents/fetch", json=too_many, headers=headers)
    assert refused.status_code == 422


async def test_what_an_upload_may_not_be(
    api: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    headers = await key(database, scope)
    viewer = await key(database, scope, Role.VIEWER)
    small = [("files", ("a.md", "text"))]
    large = [("files", ("a.md", b"x" * (2**20 + 1)))]
    nowhere = {"workspace_id": str(uuid4())}
    cases = [
        (await api.post("/v1/documents", files=small, headers=viewer), 403, "not_allowed"),
        (await api.post("/v1/documents", files=small), 401, "missing_credentials"),
        (await api.post("/v1/documents", files=large, headers=headers), 413, "upload_too_large"),
        (
            await api.post("/v1/documents", files=small, data=nowhere, headers=headers),
            404,
            "workspace_not_found",
        ),
        (
            await api.post("/v1/documents", json={"files": []}, headers=headers),
            415,
            "unsupported_media_type",
        ),
    ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    async with database.unit_of_work(scope) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM documents") == 0
