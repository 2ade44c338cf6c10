"""What can go wrong with the database, in words an operator can act on."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Self

from muniment.errors import MunimentError, ServiceUnavailable


class DatabaseUnavailable(ServiceUnavailable):
    """The database cannot be reached; check that it runs and MUNIMENT_DATABASE_URL is right."""

    code = "database_unavailable"


NO_ANSWER = "The database does not answer; check that its host is up and reachable."


class PoolExhausted(ServiceUnavailable):
    """Every database connection is busy; try again shortly or raise the pool size."""

    code = "database_busy"


class MigrationsPending(ServiceUnavailable):
    """The database schema is older than this version of Muniment; run `muniment db upgrade`."""

    code = "migrations_pending"


class DataDirectoryUnusable(MunimentError):
    """The data directory cannot be used; choose another one with MUNIMENT_DATA_DIR."""

    code = "data_directory_unusable"
    title = "Data directory unusable"

    @classmethod
    def because(cls, directory: Path, error: OSError) -> Self:
        """Say what to do about what the system answered."""
        if error.errno == errno.ENOSPC:
            return cls(f"The disk of {directory} is full: free some space and start again.")
        return cls(
            f"The data directory {directory} cannot be used ({error.strerror}): "
            "correct its permissions or choose another one with MUNIMENT_DATA_DIR."
        )


class WrongServerVersion(MunimentError):
    """The data directory was written by another major version of Postgres."""

    code = "wrong_server_version"
    title = "Wrong server version"


class ServerStartFailed(MunimentError):
    """The embedded Postgres server could not be started."""

    code = "server_start_failed"
    title = "Server start failed"
