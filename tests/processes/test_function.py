"""A function in a process of its own: it may do what it likes, nothing of it stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
import uvloop
from structlog.testing import capture_logs

from muniment.processes.function import FunctionEnded, FunctionRaised, run_function
from tests.processes import functions
from tests.processes.family import Family, new_family
from tests.processes.functions import Numbers, Sum
from tests.processes.logging_function import log
from tests.waiting import until

MIB = 2**20
ROOT = Path(__file__).parents[2]


class Run:
    """Runs functions and keeps what they report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[tuple[int, int | None, str]] = []

    async def __call__(
        self, function: Callable[..., Any], *numbers: int, memory_mb: int = 150
    ) -> Any:
        return await run_function(
            function,
            Numbers(list(numbers), self.folder),
            memory_bytes=memory_mb * MIB,
            on_progress=self._note,
        )

    async def _note(self, done: int, total: int | None, unit: str) -> None:
        self.reports.append((done, total, unit))

    def family(self) -> list[psutil.Process]:
        """All that runs in our functions' processes now."""
        return [
            process
            for process in psutil.Process().children(recursive=True)
            if process.status() != psutil.STATUS_ZOMBIE
        ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture(autouse=True)
def family(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    with new_family(monkeypatch) as family:
        yield family


async def test_a_function_returns_what_it_computed(run: Run) -> None:
    assert await run(functions.add_up, 1, 2, 3) == Sum(6, run.folder)
    assert await run(functions.return_nothing) is None


def test_the_loop_of_a_worker_serves_as_well(run: Run) -> None:
    async def several() -> None:
        assert await run(functions.add_up, 1, 2, 3) == Sum(6, run.folder)
        for function in (functions.crash_with_children, functions.exit_silently):
            with pytest.raises(FunctionEnded):
                await run(function)
        work = asyncio.create_task(run(functions.hang_with_children))
        await until(lambda: (1, None, "rows") in run.reports)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert run.family() == []

    uvloop.run(several())


async def test_progress_comes_bounded_and_its_last_report_always(run: Run) -> None:
    started = time.monotonic()
    await run(functions.add_up, *range(200_000))
    assert run.reports[-1] == (200_000, 200_000, "numbers")
    assert len(run.reports) <= (time.monotonic() - started) * 10 + 3


async def test_what_it_logs_is_logged_here(run: Run) -> None:
    with capture_logs() as lines, structlog.contextvars.bound_contextvars(job_id="j"):
        await run(log, 1, 2)
    assert lines[0] == {
        "log_level": "info",
        "event": "counted",
        "numbers": "[1, 2]",
        "folder": str(run.folder),
    }
    assert (lines[1]["event"], lines[1]["logger"]) == ("careful with that", "library")
    assert len(lines) == 1000
    assert lines[-1]["event"] == "further log lines are left out"


@pytest.mark.parametrize(
    ("function", "base", "detail"),
    [
        (functions.refuse, "muniment.jobs.errors:PermanentFailure", "These numbers are wrong."),
        (functions.miss, "muniment.errors:NotFound", "It is gone."),
        (functions.stumble, "builtins:ValueError", "bad\0 luck ?"),
        (functions.end_with_sys_exit, "builtins:SystemExit", "enough"),
        (functions.return_what_is_no_message, "builtins:NotImplementedError", "No encoding"),
    ],
)
async def test_exceptions_are_told(
    run: Run, function: Callable[..., Any], base: str, detail: str
) -> None:
    with pytest.raises(FunctionRaised) as caught:
        await run(function)
    assert base in caught.value.raised.classes
    assert detail in caught.value.raised.detail


@pytest.mark.parametrize(
    ("function", "exit_code", "how"),
    [
        (functions.crash, -signal.SIGSEGV, "SIGSEGV"),
        (functions.crash_with_children, -signal.SIGSEGV, "SIGSEGV"),
        (functions.exit_silently, 0, "it exited with code 0 and gave no answer"),
    ],
)
async def test_an_end_without_an_answer_is_told(
    run: Run, function: Callable[..., Any], exit_code: int, how: str
) -> None:
    with pytest.raises(FunctionEnded) as caught:
        await run(function)
    assert caught.value.verdict.exit_code == exit_code
    assert not caught.value.verdict.over_ceiling
    assert how in caught.value.how
    if exit_code:
        assert b"Segmentation fault" in caught.value.verdict.output
        assert b"functions.py" in caught.value.verdict.output


@pytest.mark.parametrize("function", [functions.eat_memory, functions.eat_memory_in_a_child])
async def test_memory_has_a_ceiling(run: Run, function: Callable[..., Any]) -> None:
    with pytest.raises(FunctionEnded) as caught:
        await run(function)
    verdict = caught.value.verdict
    assert verdict.over_ceiling
    assert 150 * MIB < verdict.peak_bytes < 600 * MIB


async def test_shared_memory_counts_once(run: Run) -> None:
    assert await run(functions.share_memory) == 100 * MIB


async def test_a_flood_of_output_is_nobodys_business(run: Run) -> None:
    before = time.thread_time()
    with pytest.raises(FunctionRaised, match="flooded"):
        await run(functions.flood)
    assert time.thread_time() - before < 1
    assert run.reports[-1][0] == 9_999


async def test_what_it_leaves_running_ends_with_it(run: Run) -> None:
    assert await run(functions.leave_children) == Sum(0, run.folder)
    assert not psutil.pid_exists(int((run.folder / "child").read_text()))


@pytest.mark.parametrize(
    "function", [functions.hang, functions.hold_the_interpreter, functions.hang_with_children]
)
async def test_cancelling_ends_all_within_a_second(run: Run, function: Callable[..., Any]) -> None:
    work = asyncio.create_task(run(function))
    with_children = function is functions.hang_with_children
    await until((lambda: run.reports) if with_children else (run.folder / "work").exists)
    assert len(run.family()) >= (4 if with_children else 2)
    started = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - started < 1
    assert run.family() == []


async def test_a_stopped_guardian_holds_up_nothing(run: Run) -> None:
    work = asyncio.create_task(run(functions.hang))
    await until((run.folder / "work").exists)
    working = int((run.folder / "work").read_text())
    guardian = psutil.Process(working).parent()
    assert guardian is not None
    guardian.send_signal(signal.SIGSTOP)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await until(lambda: not psutil.pid_exists(working))


async def test_a_killed_guardian_is_a_crash(run: Run) -> None:
    work = asyncio.create_task(run(functions.hang))
    await until((run.folder / "work").exists)
    working = int((run.folder / "work").read_text())
    guardian = psutil.Process(working).parent()
    assert guardian is not None
    guardian.kill()
    with pytest.raises(FunctionEnded) as caught:
        await work
    assert caught.value.verdict.exit_code == -signal.SIGKILL
    await until(lambda: not psutil.pid_exists(working))


async def test_a_service_manager_that_ends_all_leaves_it_to_us(run: Run) -> None:
    work = asyncio.create_task(run(functions.hang))
    await until((run.folder / "work").exists)
    for process in run.family():
        process.terminate()
    assert len(run.family()) == 2
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("function", ["hold_the_interpreter", "hang_with_children"])
async def test_all_ends_when_we_are_killed(tmp_path: Path, function: str) -> None:
    program = f"""\
import asyncio, sys
from pathlib import Path
from muniment.processes.function import run_function
from tests.processes.functions import Numbers, {function}
async def note(*_): print("told", flush=True)
arguments = Numbers([], Path(sys.argv[1]))
asyncio.run(run_function({function}, arguments, memory_bytes=2**30, on_progress=note))
"""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, env=environment) as parent:  # noqa: ASYNC220  # starts at once
        await until((tmp_path / "work").exists)
        count = 4 if function == "hang_with_children" else 2
        watched = psutil.Process(parent.pid)
        await until(lambda: len(watched.children(recursive=True)) >= count)
        orphans = watched.children(recursive=True)
        parent.kill()
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert not alive


@pytest.mark.parametrize("function", [functions.wait, functions.without_types, lambda _a, _b: None])
async def test_only_plain_functions_with_types_can_run(
    run: Run, function: Callable[..., Any]
) -> None:
    with pytest.raises(TypeError):
        await run(function)
