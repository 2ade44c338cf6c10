"""An installation to break, and a doctor to ask about it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from muniment.checks import CHECKS
from muniment.components import open_blobs
from muniment.db import Database
from muniment.db.doctor import Examination, Finding
from muniment.db.installation import Installation
from muniment.documents.blobs import BlobStore
from muniment.observability.doctor.run import Doctor
from muniment.observability.doctor.schemas import DoctorReport
from muniment.settings import Settings
from tests.conftest import Clone, cloned

Lent = Mapping[type[Any], Callable[[], Awaitable[Any]]]


@dataclass
class Patient:
    """An installation, its settings, and what the doctor says about it."""

    installation: Installation
    settings: Settings
    ahead: timedelta = timedelta()
    """How far the clock of this machine is ahead of the right time."""
    resources: Lent = field(default_factory=dict)

    def run(self, *statements: str) -> None:
        """Run statements as the administrator, each by itself."""
        with psycopg.connect(self.installation.owner_dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    async def ask(self, only: str | None = None) -> DoctorReport:
        """Let the doctor make all checks, or one."""
        async with self.open() as database:
            return await self.doctor(database).report(only)

    def open(self) -> Any:
        return Clone(self.installation).open(
            pool_size=2, statement_timeout=self.settings.api_statement_timeout
        )

    def doctor(self, database: Database) -> Doctor:
        async def blobs() -> BlobStore:
            return await asyncio.to_thread(open_blobs, self.settings)

        examination = Examination(
            database,
            self.settings,
            {BlobStore: blobs, **self.resources},
            lambda: datetime.now(UTC) + self.ahead,
        )
        return Doctor(CHECKS, examination)

    async def findings(self, only: str | None = None) -> list[Finding]:
        return (await self.ask(only)).findings

    def heal(self, finding: Finding) -> None:
        """Do what a finding says, as far as a machine can."""
        self.run(*finding.sql)
        if finding.settings:
            self.settings = changed(self.settings, finding.settings)
        if finding.command is not None and not finding.command.startswith(("muniment", "redis")):
            subprocess.run(finding.command, shell=True, check=True)


def changed(settings: Settings, variables: Mapping[str, str]) -> Settings:
    """Return settings with some set as the environment would."""
    values = {name.removeprefix("MUNIMENT_").lower(): value for name, value in variables.items()}
    return Settings(**(settings.model_dump() | values))


def settings_in(folder: Path, **changes: Any) -> Settings:
    return Settings(data_dir=folder, **changes)


@pytest.fixture(scope="module")
def broken(server: Installation) -> Iterator[Installation]:
    """One database for all tests of a module: each mends what it broke."""
    with cloned(server) as clone:
        yield clone.installation


@pytest.fixture
def patient(broken: Installation, tmp_path: Path) -> Patient:
    """The installation of the module, with settings and a data directory of this test."""
    return Patient(broken, settings_in(tmp_path))


@pytest.fixture
def own_patient(clone: Clone, tmp_path: Path) -> Patient:
    """An installation of this test alone."""
    return Patient(replace(clone.installation), settings_in(tmp_path))
