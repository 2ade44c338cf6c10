"""Quotas as a client meets them: usage, refused uploads, and fifty of them at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Database, Role, TenantScope, observe_statements
from muniment.documents.blobs import BlobStore
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import client_of
from tests.tenancy.quotas.conftest import TIERS, drift

Clients = AsyncIterator[httpx.AsyncClient]


@pytest.fixture
async def database(clone: Any) -> AsyncIterator[Database]:
    """Pools for fifty requests at a time."""
    async with clone.open(pool_size=16, acquire_timeout=30.0) as database:
        yield database


@pytest.fixture
async def api(database: Database, scope: TenantScope, tmp_path: Path) -> Clients:
    """A client with an editor's key of an organization in the tier `free`."""
    settings = Settings(data_dir=tmp_path, tiers=TIERS, rate_limits=False, max_upload_bytes=2000)
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    services = Services(database, b"secret", settings, None, search_index(), blobs)  # type: ignore[arg-type]
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("UPDATE organizations SET tier = 'free'")
        made = await create_api_key(work, "test", Role.EDITOR)
    async with client_of(create_app(settings, services)) as client:
        client.headers["authorization"] = f"Bearer {made.key}"
        yield client


async def upload(api: httpx.AsyncClient, *files: tuple[str, int]) -> httpx.Response:
    sent = [("files", (name, b"x" * size)) for name, size in files]
    return await api.post("/v1/documents", files=sent)


async def used(api: httpx.AsyncClient) -> tuple[int, int]:
    usage = (await api.get("/v1/usage")).json()
    return usage["documents"], usage["bytes"]


async def test_usage_and_limits_are_told_in_one_statement(api: httpx.AsyncClient) -> None:
    assert (await upload(api, ("a", 100), ("b", 20))).status_code == 202
    await api.get("/v1/usage")
    names: list[str] = []
    with observe_statements(lambda name, _seconds, _error: names.append(name)):
        answer = await api.get("/v1/usage")
    assert answer.json() == {
        "documents": 2,
        "bytes": 120,
        "tier": "free",
        "limits": {
            "documents": 10,
            "bytes": 1000,
            "file_bytes": 500,
            "requests_per_minute": 100,
        },
    }
    # Others may begin something of their own meanwhile, as noting when a key was last used.
    asked = [name for name in names if name.startswith("tenancy.quotas.")]
    assert asked == ["tenancy.quotas.read_usage"]


async def test_a_full_organization_is_told_so(api: httpx.AsyncClient) -> None:
    assert (await upload(api, *((str(n), 10) for n in range(10)))).status_code == 202
    refused = await upload(api, ("one more", 1))
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (403, "quota_exceeded")
    assert problem["detail"] == (
        "The tier free allows 10 documents; 10 are there, and with this there would be 11."
    )
    # What takes the place of something, and grows nothing, is welcome.
    assert (await upload(api, ("3", 10), ("4", 5))).status_code == 202
    listed = (await api.get("/v1/documents")).json()["items"]
    assert (await api.delete(f"/v1/documents/{listed[0]['id']}")).status_code == 204
    assert (await upload(api, ("one more", 1))).status_code == 202
    assert await used(api) == (10, 86)


async def test_a_large_file_is_refused_with_the_limit_of_the_tier(api: httpx.AsyncClient) -> None:
    refused = await upload(api, ("big.txt", 501))
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (413, "upload_too_large")
    assert problem["detail"] == "big.txt has 501 bytes. In the tier free a file may have 500 bytes."
    assert await used(api) == (0, 0)


async def test_the_installation_may_allow_less_than_the_tier(
    api: httpx.AsyncClient, database: Database, scope: TenantScope
) -> None:
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("UPDATE organizations SET tier = 'pro'")
        work.invalidate(f"{scope.org_id.hex}/organization")
    assert (await upload(api, ("a", 1999))).status_code == 202
    refused = await upload(api, ("b", 2001))
    assert refused.status_code == 413
    assert "MUNIMENT_MAX_UPLOAD_BYTES" in refused.json()["detail"]
    assert (await api.get("/v1/usage")).json()["limits"]["file_bytes"] == 2000


@pytest.mark.parametrize(
    ("before", "size", "most"),
    [
        # One document short of the limit, and 100 bytes short of it.
        ([10] * 9, 1, (10, 91)),
        ([300] * 3, 100, (4, 1000)),
    ],
    ids=["documents", "bytes"],
)
async def test_of_fifty_uploads_at_once_one_fits(
    api: httpx.AsyncClient,
    database: Database,
    before: list[int],
    size: int,
    most: tuple[int, int],
) -> None:
    files = [(f"before {number}", size) for number, size in enumerate(before)]
    assert (await upload(api, *files)).status_code == 202
    answers = await asyncio.gather(*(upload(api, (f"new {n}", size)) for n in range(50)))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 403: 49}
    assert {answer.json().get("code") for answer in answers} == {None, "quota_exceeded"}
    assert await used(api) == most
    assert await drift(database) == []


async def test_uploads_of_one_name_at_once_are_one_document(
    api: httpx.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(*(upload(api, ("same", 10 + n)) for n in range(30)))
    assert {answer.status_code for answer in answers} == {202}
    (listed,) = (await api.get("/v1/documents")).json()["items"]
    assert await used(api) == (1, listed["size_bytes"])
    assert await drift(database) == []
