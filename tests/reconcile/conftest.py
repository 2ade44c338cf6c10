"""The API and a worker of the lane `reconcile` on a fresh database."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from muniment.db import Database, TenantScope
from muniment.observability.logging import configure_logging
from muniment.settings import Settings
from tests.reconcile.served import Asking, api_of, worker_of


@pytest.fixture(autouse=True)
def log() -> io.StringIO:
    """What is logged, one JSON object a line."""
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    return stream


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, reconcile_memory_mb=1024)


@pytest.fixture
async def api(database: Database, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with api_of(database, settings) as client:
        yield client


@pytest.fixture
async def worker(worker_database: Database, settings: Settings) -> AsyncIterator[None]:
    async with worker_of(worker_database, settings):
        yield


@pytest.fixture
async def asking(api: httpx.AsyncClient, database: Database, scope: TenantScope) -> Asking:
    """An admin who has made a reconciliation."""
    return await Asking.making(api, database, scope)
