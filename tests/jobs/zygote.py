"""Workers in processes of their own by the hundred: forked from one that has imported everything.

``python -m tests.jobs.zygote WORKER_DSN OPERATOR_DSN`` reads a word and a number a line: `start
SECONDS` forks a worker with that grace and answers its id, `end PID` waits until a worker that was
killed or told to stop is gone and answers its exit code (negative: the signal). `Zygote` is our
side of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop

from muniment.db import Database
from muniment.jobs import Lane, Worker
from muniment.worker import _stopped_by_signal
from tests.jobs.effects import affect

ROOT = Path(__file__).parents[2]


class Zygote:
    """Starts, signals and reaps worker processes."""

    def __init__(self, worker_dsn: str, operator_dsn: str) -> None:
        self._dsns = (worker_dsn, operator_dsn)
        self._process: asyncio.subprocess.Process
        self.alive: set[int] = set()
        self._talking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.jobs.zygote",
            *self._dsns,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pid in list(self.alive):
            await self.end(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def start(self, grace: float = 20.0) -> int:
        """Start a worker and return its process id."""
        pid = await self._ask("start", grace)
        self.alive.add(pid)
        return pid

    async def end(self, pid: int, *numbers: signal.Signals, seconds: float = 30.0) -> int:
        """Send signals to a worker and return its exit code."""
        for number in numbers:
            os.kill(pid, number)
        async with asyncio.timeout(seconds):
            while True:
                code = await self._ask("end", pid)
                if code != _RUNS:
                    self.alive.discard(pid)
                    return code
                await asyncio.sleep(0.01)

    async def _ask(self, word: str, number: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._talking:
            self._process.stdin.write(f"{word} {number}\n".encode())
            return int(await self._process.stdout.readline())


_RUNS = 1_000_000


async def _work(dsns: list[str], grace: float) -> None:
    stop, at_once = _stopped_by_signal()
    async with Database.open(
        *dsns,
        pool_size=3,
        operator_pool_size=1,
        acquire_timeout=5,
        statement_timeout=30,
    ) as database:
        worker = Worker(database, [affect], {}, {Lane.CONVERT: 4}, grace=grace)
        await worker.run(stop, at_once=at_once)


def _start(dsns: list[str], grace: float) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nothing, descriptor)
        uvloop.run(_work(dsns, grace))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _end(pid: int) -> int:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else _RUNS


def main() -> None:
    dsns = sys.argv[1:]
    for line in sys.stdin:
        word, _, number = line.partition(" ")
        answer = _start(dsns, float(number)) if word == "start" else _end(int(number))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
