"""Readiness says what is missing."""

from __future__ import annotations

from typing import Any

import psycopg

from muniment.db import Database
from muniment.db.installation import expected_revision
from muniment.observability.health import check_readiness


def summary(checks: Any) -> dict[str, bool]:
    return {check.name: check.ok for check in checks}


async def test_migrated_database_is_ready(database: Database) -> None:
    checks = await check_readiness(database)
    assert summary(checks) == {"database": True, "migrations": True, "queue": True}
    assert expected_revision() in checks[1].detail


async def test_pending_migration_is_told(clone: Any, database: Database) -> None:
    with psycopg.connect(clone.installation.owner_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    checks = await check_readiness(database)
    assert summary(checks) == {"database": True, "migrations": False}
    assert "0001" in checks[1].detail
    assert "muniment db upgrade" in checks[1].detail


async def test_empty_database_is_told(clone: Any, database: Database) -> None:
    with psycopg.connect(clone.installation.owner_dsn) as connection:
        connection.execute("DROP TABLE alembic_version")
    checks = await check_readiness(database)
    assert summary(checks) == {"database": True, "migrations": False}
    assert "no schema yet" in checks[1].detail


async def test_missing_queue_is_told(clone: Any, database: Database) -> None:
    with psycopg.connect(clone.installation.owner_dsn) as connection:
        connection.execute("ALTER SCHEMA queue RENAME TO elsewhere")
    checks = await check_readiness(database)
    assert summary(checks) == {"database": True, "migrations": True, "queue": False}


async def test_busy_pool_is_told(clone: Any) -> None:
    async with (
        clone.open(pool_size=2, acquire_timeout=0.05) as small,
        small.system(),
        small.system(),
    ):
        checks = await check_readiness(small)
    assert summary(checks) == {"database": False}
    assert "busy" in checks[0].detail


async def test_dropped_database_is_told_without_its_address(clone: Any) -> None:
    async with clone.open() as database:
        with psycopg.connect(clone.installation.owner_dsn) as connection:
            name = connection.info.dbname
        maintenance = clone.installation.owner_dsn.replace(f"/{name}?", "/postgres?")
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} RENAME TO {name}_away")
            try:
                checks = await check_readiness(database)
            finally:
                connection.execute(f"ALTER DATABASE {name}_away RENAME TO {name}")
    assert summary(checks) == {"database": False}
    assert name not in checks[0].detail
