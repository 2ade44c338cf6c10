"""Clients that ask several processes all the time, while something that they cache changes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.app.api_processes import FRESH_SECONDS, ApiProcess, Ask
from tests.app.callers import Present
from tests.waiting import until

READERS = 3
"""For each process."""


class Load:
    """Readers of an organization's name on every process, and one who changes it on the first."""

    def __init__(self, processes: list[ApiProcess], owner: Present, readers: list[Present]) -> None:
        self.answers: Counter[int] = Counter()
        """Number of answers by status."""
        self.stale: list[tuple[float, str, int]] = []
        """Readings that were asked for too late to show what they show: by how many seconds after
        a newer name was answered, what was read, and which number was due."""
        self._processes = processes
        self._owner = owner
        self._readers = readers
        self._renamed: list[tuple[float, int]] = [(0.0, 0)]
        """When each change was answered, by the clock, and its number."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep asking until the context ends; what fails in a client is raised there."""
        stop = asyncio.Event()
        await self._rename(0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(stop))
            for process in self._processes:
                for who in self._readers:
                    group.create_task(self._read(process, who, stop))
            try:
                yield
            finally:
                stop.set()

    async def pass_requests(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answers.total() + count
        await until(lambda: self.answers.total() >= wanted, 30)

    async def _write(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await self._rename(number)

    async def _rename(self, number: int) -> None:
        body = {"json": {"name": f"name {number}"}}
        answer = await self._processes[0].ask(Ask("PATCH", "/v1/organization", self._owner, body))
        self.answers[answer.status_code] += 1
        if answer.status_code == 200:
            self._renamed.append((time.monotonic(), number))

    async def _read(self, process: ApiProcess, who: Present, stop: asyncio.Event) -> None:
        while not stop.is_set():
            asked = time.monotonic()
            answer = await process.ask(Ask("GET", "/v1/me", who))
            self.answers[answer.status_code] += 1
            if answer.status_code != 200:
                continue
            name = answer.json()["organization"]["name"]
            told, due = next(
                one for one in reversed(self._renamed) if one[0] <= asked - FRESH_SECONDS
            )
            if int(name.removeprefix("name ")) < due:
                self.stale.append((asked - told, name, due))
