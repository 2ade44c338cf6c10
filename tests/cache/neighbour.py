"""Another process of the installation: it answers questions through a cache of its own.

    python -m tests.cache.neighbour '{"app_dsn": …, "operator_dsn": …, "redis_url": …, "scope": …}'

It reads one JSON list per line, the name of a command and its arguments, and answers each with
a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from muniment.cache import Cache, Namespace, open_cache
from muniment.db import Database, OrgId, Role, TenantScope

NAMES = Namespace("names", str)
"""Names of organizations, by their id."""


async def name_of(cache: Cache, database: Database, scope: TenantScope) -> str | None:
    """Return the name of an organization as the cache or the database knows it."""

    async def load() -> str:
        async with database.unit_of_work(scope) as work:
            name: str = await work.connection.fetchval("SELECT name FROM organizations")
        return name

    return await cache.get(NAMES, scope.org_id.hex, "name", load, tags=("organization",))


async def rename(database: Database, scope: TenantScope, name: str) -> None:
    """Change the name of an organization and announce it."""
    async with database.unit_of_work(scope) as work:
        await work.connection.execute("UPDATE organizations SET name = $1", name)
        work.invalidate(f"{scope.org_id.hex}/organization")


class Neighbour:
    """The other process, seen from the test."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, *command: Any) -> Any:
        """Send a command and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        assert line, "the other process ended"
        return json.loads(line)

    async def statistics(self) -> dict[str, Any]:
        """Return what its cache counted."""
        answer: dict[str, Any] = await self.ask("statistics")
        return answer


@asynccontextmanager
async def neighbour(
    app_dsn: str, operator_dsn: str, scope: TenantScope, redis_url: str | None = None
) -> AsyncIterator[Neighbour]:
    """Run another process with a cache that listens."""
    arguments = {
        "app_dsn": app_dsn,
        "operator_dsn": operator_dsn,
        "org_id": scope.org_id.hex,
        "redis_url": redis_url,
    }
    project = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cache.neighbour",
        json.dumps(arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=project,
        env=os.environ | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'src'}"},
    )
    other = Neighbour(process)
    try:
        assert await other.ask("ready") is True
        yield other
    finally:
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), 20)


async def _serve(arguments: dict[str, Any]) -> None:
    scope = TenantScope(OrgId(UUID(arguments["org_id"])), None, "test", Role.OWNER)
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(questions), sys.stdin
    )
    async with (
        Database.open(
            arguments["app_dsn"],
            arguments["operator_dsn"],
            pool_size=5,
            operator_pool_size=1,
            acquire_timeout=5,
            statement_timeout=30,
        ) as database,
        open_cache(database, redis_url=arguments["redis_url"]) as cache,
    ):
        while line := await questions.readline():
            match json.loads(line):
                case ["ready"]:
                    answer: Any = await cache.wait_until_listening(20)
                case ["read"]:
                    answer = await name_of(cache, database, scope)
                case ["rename", name]:
                    await rename(database, scope, name)
                    answer = None
                case ["statistics"]:
                    answer = asdict(cache.statistics())
                case unknown:
                    raise ValueError(f"there is no command {unknown}")
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    # Standard output carries the answers.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_serve(json.loads(sys.argv[1])))
