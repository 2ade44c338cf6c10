"""A handler that blocks the event loop fails; the worker and its other jobs live on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvloop

from muniment.db import Database, TenantScope
from muniment.jobs import Lane, RunningJob, enqueue, task
from muniment.jobs.errors import EventLoopBlocked
from muniment.jobs.watchdog import LoopWatchdog
from tests.jobs.conftest import Jobs, RunWorker
from tests.jobs.kinds import QUICK, Journal, Note, wait, write

ROOT = Path(__file__).parents[2]
PATIENCE = 0.5


def sleep_long() -> None:
    time.sleep(60)


def spin() -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        pass


def swallow() -> None:
    """Swallow the first interruption, as careless code does."""
    with suppress(Exception):
        spin()
    spin()


BLOCKING = [sleep_long, spin, swallow]


@task(kind="tests.block", lane=Lane.FAST, max_attempts=2, backoff=QUICK)
async def block(job: RunningJob, payload: Note) -> None:
    await job.resource(Journal).write("block", job, payload)
    {each.__name__: each for each in BLOCKING}[payload.text]()


@task(kind="tests.block_inside", lane=Lane.FAST, max_attempts=1)
async def block_inside(job: RunningJob, payload: Note) -> None:
    async def inner() -> None:
        spin()

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(30))
        group.create_task(inner())


@pytest.mark.parametrize("how", BLOCKING, ids=lambda how: how.__name__)
async def test_a_job_that_blocks_fails_and_its_neighbours_finish(
    database: Database,
    scope: TenantScope,
    jobs: Jobs,
    run_worker: RunWorker,
    journal: Journal,
    how: Callable[[], None],
) -> None:
    watchdog = LoopWatchdog(patience=PATIENCE)
    async with run_worker(tasks=[block, write, wait]):
        with watchdog.watching():
            async with database.unit_of_work(scope) as uow:
                waiting = await enqueue(uow, wait, Note())
            await journal.until(1)
            async with database.unit_of_work(scope) as uow:
                blocking = await enqueue(uow, block, Note(how.__name__))
            row = await jobs.reaches(blocking, "failed")
            async with database.unit_of_work(scope) as uow:
                next_one = await enqueue(uow, write, Note())
            await jobs.reaches(next_one, "succeeded")
            journal.gate.set()
            assert (await jobs.reaches(waiting, "succeeded"))["attempts"] == 1
    assert row["attempts"] == 2
    assert row["error"]["code"] == "blocked_event_loop"
    assert (
        f"in {'spin' if how is swallow else how.__name__} (test_watchdog.py"
        in (row["error"]["detail"])
    )


async def test_what_blocks_within_a_job_is_interrupted_too(
    database: Database, scope: TenantScope, jobs: Jobs, run_worker: RunWorker
) -> None:
    async with run_worker(tasks=[block_inside]):
        with LoopWatchdog(patience=PATIENCE).watching():
            async with database.unit_of_work(scope) as uow:
                job_id = await enqueue(uow, block_inside, Note())
            row = await jobs.reaches(job_id, "failed")
    assert row["error"]["code"] == "blocked_event_loop"


async def as_a_job(code: Callable[[], Any]) -> Any:
    async def run() -> Any:
        structlog.contextvars.bind_contextvars(job_id="1")
        return code()

    return await asyncio.create_task(run())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_both_loops_go_on_after_an_interruption(run: Callable[[Awaitable[None]], None]) -> None:
    async def several() -> None:
        with LoopWatchdog(patience=0.2).watching():
            for how in BLOCKING * 2:
                with pytest.raises(EventLoopBlocked):
                    await as_a_job(how)
                await asyncio.wait_for(asyncio.sleep(0.01), 1)

    run(several())
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


async def test_code_that_is_no_job_is_only_told(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as lines, LoopWatchdog(patience=0.2).watching():
        time.sleep(0.5)  # noqa: ASYNC251  # this is what it is about
    assert [line["event"] for line in lines] == ["event loop blocked"] * 2
    assert "test_code_that_is_no_job_is_only_told" in lines[0]["stack"]


async def test_many_short_steps_are_nobodys_fault() -> None:
    with structlog.testing.capture_logs() as lines, LoopWatchdog(patience=0.3).watching():
        steps = [as_a_job(lambda: time.sleep(0.06)) for _ in range(15)]
        await asyncio.gather(*steps)
    assert lines == []


PROGRAM = """\
import asyncio, ctypes, time
from muniment.jobs.watchdog import LoopWatchdog
from tests.jobs.test_watchdog import as_a_job

def doze():
    print("dozing", flush=True)
    for _ in range(60):
        time.sleep(0.01)

def hold():
    print("holding", flush=True)
    ctypes.PyDLL(None).usleep(2_000_000_000)

async def main(code, **options):
    with LoopWatchdog(**options).watching():
        await as_a_job(code)
    print("fine", flush=True)
"""


def program(last_line: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + last_line],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_that_was_stopped_is_not_blamed() -> None:
    with program("asyncio.run(main(doze, patience=1.5))") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "dozing\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)  # it has to be away for longer than the patience
        process.send_signal(signal.SIGCONT)
        told, errors = process.communicate(timeout=20)
    assert (told, process.returncode) == ("fine\n", 0), errors


def test_a_process_that_cannot_be_interrupted_ends_itself() -> None:
    with program("asyncio.run(main(hold, patience=0.2, give_up=1.0))") as process:
        _told, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "Timeout" in errors
    assert " in hold\n" in errors


def test_attempts_end_before_others_take_them_over() -> None:
    from muniment.jobs.take_over import _SILENCE

    assert timedelta(seconds=LoopWatchdog()._give_up) < _SILENCE / 2
