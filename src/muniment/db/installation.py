"""Where the database is, who connects to it as what, and which schema it has."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from muniment.db.database import Database
from muniment.db.embedded import embedded_server
from muniment.db.errors import DatabaseUnavailable, DataDirectoryUnusable, MigrationsPending

if TYPE_CHECKING:
    from alembic.config import Config

    from muniment.settings import Settings

DATABASE_NAME = "muniment"

UPGRADE_LOCK = 7_240_001
"""Advisory lock that serializes upgrades of one database."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Addresses of one database for each role, and the installation's secret."""

    owner_dsn: str
    """As the administrator: creates roles, runs migrations."""
    app_dsn: str
    worker_dsn: str
    """As the application, and allowed to run the jobs of every organization."""
    operator_dsn: str
    secret: bytes
    embedded: bool

    def open(
        self,
        settings: Settings,
        *,
        statement_timeout: float,
        worker: bool = False,
        replica: bool = False,
    ) -> DatabaseContext:
        """Open the pools of a process of the API or of a worker.

        `statement_timeout` is in seconds. With `replica` the process may read from the replica
        of the settings; it then has to hear what others write, see `Replica.heard`.
        """
        return Database.open(
            self.worker_dsn if worker else self.app_dsn,
            self.operator_dsn,
            listen_dsn=settings.listen_database_url,
            replica_dsn=settings.replica_database_url if replica else None,
            replica_max_lag=settings.replica_max_lag_seconds,
            prepared_statements=settings.prepared_statements,
            pool_size=settings.pool_size,
            operator_pool_size=settings.operator_pool_size,
            acquire_timeout=settings.pool_acquire_timeout,
            pool_idle=settings.pool_idle_seconds,
            pool_lifetime=settings.pool_lifetime_seconds,
            statement_timeout=statement_timeout,
        )


DatabaseContext = AbstractAsyncContextManager[Database]


@contextmanager
def installation(settings: Settings) -> Iterator[Installation]:
    """Find the database of the settings, starting the embedded one when none is given.

    Raises:
        DataDirectoryUnusable, WrongServerVersion, ServerStartFailed: see `embedded`.
        DatabaseUnavailable: the server does not answer.
    """
    secret = _secret(settings)
    if settings.database_url is not None:
        yield _installation(settings, settings.database_url, secret, embedded=False)
        return
    with embedded_server(settings.data_dir) as superuser_dsn:
        _create_database(superuser_dsn)
        owner_dsn = superuser_dsn.replace("/postgres?", f"/{DATABASE_NAME}?")
        yield _installation(settings, owner_dsn, secret, embedded=True)


def upgrade(target: Installation) -> None:
    """Bring roles and schema up to this version; does nothing when they are.

    Raises:
        DatabaseUnavailable: the server does not answer or refuses the administrator.
    """
    try:
        with psycopg.connect(target.owner_dsn, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (UPGRADE_LOCK,))
            roles = files("muniment.db").joinpath("roles.sql").read_text(encoding="utf-8")
            connection.execute(roles.encode())
            if not target.embedded:
                for role in ("muniment_app", "muniment_worker", "muniment_operator"):
                    connection.execute(
                        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                            sql.Identifier(role), _role_password(target.secret, role)
                        )
                    )
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
    from alembic import command  # a second of imports that only an upgrade needs

    command.upgrade(alembic_config(target.owner_dsn), "head")


def upgrade_embedded(target: Installation) -> None:
    """Upgrade the schema of our own database; one that others run is not even asked.

    Nobody but us migrates the embedded database, so every process of ours may.
    """
    if target.embedded and not _up_to_date(target):
        upgrade(target)


@contextmanager
def ready_installation(settings: Settings) -> Iterator[Installation]:
    """Like `installation`, with its schema up to date.

    Raises:
        MigrationsPending: the schema of an external database is older than this version.
    """
    with installation(settings) as target:
        upgrade_embedded(target)
        if not target.embedded and not _up_to_date(target):
            raise MigrationsPending
        yield target


def _up_to_date(target: Installation) -> bool:
    current, expected = schema_revision(target)
    return current == expected


def schema_revision(target: Installation) -> tuple[str | None, str]:
    """Return the revision that the database has (None: empty) and the one it should have."""
    try:
        with psycopg.connect(target.owner_dsn) as connection:
            known = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
            row = None
            if known is not None and known[0] is not None:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
    return (None if row is None else str(row[0])), expected_revision()


def expected_revision() -> str:
    """Return the newest revision that this version of Muniment carries.

    Revisions are numbered in order, so their files tell; asking Alembic would load it.
    """
    migrations = files("muniment.db.migrations").joinpath("sql").iterdir()
    return max(file.name for file in migrations)[:4]


def alembic_config(dsn: str) -> Config:
    """Return Alembic's configuration for a database."""
    from alembic.config import Config  # see `upgrade`

    config = Config()
    config.set_main_option("script_location", "muniment:db/migrations")
    parts = urlsplit(dsn)
    address = urlunsplit(parts._replace(scheme="postgresql+psycopg"))
    # Alembic reads this as an ini value, where a percent sign is special.
    config.set_main_option("sqlalchemy.url", address.replace("%", "%%"))
    return config


def _installation(
    settings: Settings, owner_dsn: str, secret: bytes, *, embedded: bool
) -> Installation:
    def derived(role: str) -> str:
        parts = urlsplit(owner_dsn)
        password = "" if embedded else quote(_role_password(secret, role))
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}"))

    return Installation(
        owner_dsn,
        settings.app_database_url or derived("muniment_app"),
        settings.worker_database_url or derived("muniment_worker"),
        settings.operator_database_url or derived("muniment_operator"),
        secret,
        embedded,
    )


def _role_password(secret: bytes, role: str) -> str:
    return hmac.digest(secret, f"role:{role}".encode(), hashlib.sha256).hex()


def _create_database(superuser_dsn: str) -> None:
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(7240002)")
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE_NAME,)
        ).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE_NAME)))


def _secret(settings: Settings) -> bytes:
    """Return the installation's secret: from the settings, or kept in the data directory."""
    if settings.secret_key is not None:
        return settings.secret_key.encode()
    path = settings.data_dir / "secret.key"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_hex(32))
        return path.read_text().strip().encode()
    except OSError as error:
        raise DataDirectoryUnusable.because(settings.data_dir, error) from error


def _write_once(path: Path, content: str) -> None:
    """Write a private file unless it exists; of two processes one wins, with a whole file."""
    if path.exists():
        return
    temporary = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
