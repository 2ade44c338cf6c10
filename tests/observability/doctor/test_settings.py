"""Settings, files and machines around the database that are not as they should be."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muniment.cache import Cache
from muniment.cache.statistics import CacheStatistics, NamespaceStatistics
from muniment.components import load_embedder
from muniment.db.doctor import Severity, lend
from muniment.documents.embedding import Embedder
from muniment.settings import Settings
from tests.observability.doctor.conftest import Patient
from tests.redis_server import running_redis


async def named_and_cleared(patient: Patient, check: str, severity: Severity, title: str) -> None:
    """The breakage is named with its remedy, and applying that clears it."""
    (finding,) = await patient.findings(check)
    assert (finding.id, finding.severity) == (check, severity)
    assert title in finding.title
    assert finding.evidence
    assert finding.settings or finding.command
    patient.heal(finding)
    assert await patient.findings(check) == []


@pytest.mark.parametrize(
    ("check", "severity", "title", "changes"),
    [
        ("db.pools", Severity.ERROR, "larger than the server allows", {"pool_size": 250}),
        ("db.pools", Severity.WARNING, "larger than the server allows", {"pool_size": 100}),
        ("db.timeouts", Severity.WARNING, "is too long", {"api_statement_timeout": 86_400}),
        ("tenancy.trusted_proxies", Severity.WARNING, "Anybody may say", {"trusted_proxies": "*"}),
        ("tenancy.public_url", Severity.WARNING, "unencrypted", {"public_url": "http://a.org"}),
        ("tenancy.public_url", Severity.WARNING, "unencrypted", {"host": "0.0.0.0"}),
    ],
)
async def test_a_setting_that_does_not_fit(
    patient: Patient, check: str, severity: Severity, title: str, changes: dict[str, Any]
) -> None:
    patient.settings = patient.settings.model_copy(update=changes)
    await named_and_cleared(patient, check, severity, title)


async def test_a_secret_that_everybody_may_read(patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text("secret")
    file.chmod(0o644)
    await named_and_cleared(patient, "tenancy.secret_file", Severity.ERROR, "open to others")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_blob_store_that_is_gone(patient: Patient, tmp_path: Path) -> None:
    """The disk with the blobs is not there: their folder leads nowhere."""
    (tmp_path / "blobs").symlink_to(tmp_path / "disk" / "blobs")
    (finding,) = await patient.findings("documents.blobs")
    assert (finding.severity, finding.title) == ("error", "The blob store cannot be used.")
    (tmp_path / "disk" / "blobs").mkdir(parents=True)
    patient.heal(finding)
    assert await patient.findings("documents.blobs") == []
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_a_disk_that_is_full(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {tmp_path: 10**8, tmp_path / "larger": 10**12}

    def usage(path: Path) -> Any:
        return SimpleNamespace(total=10**12, free=free[path])

    (tmp_path / "larger").mkdir()
    monkeypatch.setattr(shutil, "disk_usage", usage)
    (finding,) = await patient.findings("documents.disk")
    assert finding.severity is Severity.ERROR
    assert "0.1 of 1,000 GB" in finding.evidence
    free[tmp_path] = 2 * 10**9
    (finding,) = await patient.findings("documents.disk")
    assert finding.severity is Severity.WARNING
    assert "MUNIMENT_DATA_DIR" in finding.remedy
    patient.settings = patient.settings.model_copy(update={"data_dir": tmp_path / "larger"})
    assert await patient.findings("documents.disk") == []


async def test_a_model_that_is_not_there(patient: Patient, tmp_path: Path) -> None:
    patient.settings = patient.settings.model_copy(update={"embed_model": str(tmp_path)})
    with ExitStack() as stack:

        async def embedder() -> Embedder:
            return stack.enter_context(await asyncio.to_thread(load_embedder, patient.settings))

        patient.resources = {Embedder: embedder}
        title = "The embedding model cannot be used"
        await named_and_cleared(patient, "documents.embedder", Severity.ERROR, title)


@pytest.mark.parametrize(("ahead", "severity"), [(5, Severity.WARNING), (-120, Severity.ERROR)])
async def test_clocks_that_differ(patient: Patient, ahead: float, severity: Severity) -> None:
    patient.ahead = timedelta(seconds=ahead)
    (finding,) = await patient.findings("db.clock")
    assert finding.severity is severity
    assert "NTP" in finding.remedy
    patient.ahead = timedelta()
    assert await patient.findings("db.clock") == []


async def test_redis_that_refuses_writes_when_it_is_full(patient: Patient) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
    with running_redis(*options) as server:
        patient.settings = patient.settings.model_copy(update={"redis_url": server.url})
        (finding,) = await patient.findings("cache.redis")
        assert finding.severity is Severity.WARNING
        assert "noeviction" in finding.evidence
        assert finding.command is not None
        server.command(*finding.command.split()[1:])
        assert await patient.findings("cache.redis") == []

        server.command("CONFIG", "SET", "maxmemory", "0")
        (finding,) = await patient.findings("cache.redis")
        assert "no memory limit" in finding.title
        assert finding.command is not None
        server.command(*finding.command.split()[1:])
        assert await patient.findings("cache.redis") == []

        server.kill()
        (finding,) = await patient.findings("cache.redis")
        assert finding.title == "Redis does not answer."
        server.start()
        server.command("CONFIG", "SET", "maxmemory", "100mb")
        server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert await patient.findings("cache.redis") == []


async def test_a_cache_that_is_too_small(patient: Patient) -> None:
    seen = NamespaceStatistics(memory_hits=700, misses=300, evictions=200)
    cache: Any = SimpleNamespace(statistics=lambda: CacheStatistics({"callers": seen}))
    patient.resources = {Cache: lend(cache)}
    (finding,) = await patient.findings("cache.hit_rates")
    assert "70% of 1,000 look-ups" in finding.evidence
    assert finding.settings == {"MUNIMENT_CACHE_ENTRIES": "4000"}
    seen.memory_hits = 5_000
    assert await patient.findings("cache.hit_rates") == []
    seen.memory_hits = seen.misses = 5
    assert await patient.findings("cache.hit_rates") == [], "nothing to judge by"


def test_settings_of_remedies_are_settings() -> None:
    """The names that the tests above apply are those of fields."""
    assert {"pool_size", "cache_entries", "embed_model", "public_url", "trusted_proxies"} <= set(
        Settings.model_fields
    )
