"""Kinds of jobs that the tests of this room run, here and in worker processes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec

from muniment.jobs import Backoff, Lane, PermanentFailure, RunningJob, task

QUICK = Backoff(first=timedelta(milliseconds=20), longest=timedelta(milliseconds=100))


class Note(msgspec.Struct):
    text: str = ""


class Journal:
    """What handlers did, for tests to look at and wait for."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, int]] = []
        self.changed = asyncio.Condition()
        self.gate = asyncio.Event()

    async def write(self, what: str, job: RunningJob, note: Note) -> None:
        async with self.changed:
            self.entries.append((what, note.text, job.attempt))
            self.changed.notify_all()

    async def until(self, count: int, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: len(self.entries) >= count)


@task(kind="tests.nothing", lane=Lane.FAST)
async def nothing(job: RunningJob, payload: Note) -> None:
    """Do nothing."""


@task(kind="tests.write", lane=Lane.FAST)
async def write(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("write", job, payload)


@task(kind="tests.wait", lane=Lane.CONVERT)
async def wait(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("wait", job, payload)
    await job.resource(Journal).gate.wait()


@task(kind="tests.fail", lane=Lane.FAST, max_attempts=3, backoff=QUICK)
async def fail(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("fail", job, payload)
    raise ValueError("bad\0 luck \ud800")


@task(kind="tests.fail_once", lane=Lane.FAST, backoff=QUICK)
async def fail_once(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("fail_once", job, payload)
    if job.attempt == 1:
        raise ConnectionError("the other side went away")


@task(kind="tests.refuse", lane=Lane.FAST)
async def refuse(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("refuse", job, payload)
    raise PermanentFailure("This can never work.")


@task(
    kind="tests.dawdle",
    lane=Lane.FAST,
    deadline=timedelta(milliseconds=100),
    max_attempts=2,
    backoff=QUICK,
)
async def dawdle(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("dawdle", job, payload)
    await asyncio.Event().wait()


@task(kind="tests.report", lane=Lane.FAST)
async def report(job: RunningJob, payload: Note) -> None:
    await job.progress(3, 10, "pages")
    await job.resource(Journal).write("report", job, payload)
    await job.resource(Journal).gate.wait()
    await job.progress(10, 10, "pages")


ALL = [nothing, write, wait, fail, fail_once, refuse, dawdle, report]
