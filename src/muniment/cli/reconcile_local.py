"""A reconciliation on this machine, without a database: in a process that can be killed."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
import structlog

from muniment.cli.reconcile_options import address_of
from muniment.cli.reconcile_outputs import Outputs, place
from muniment.cli.reconcile_progress import WorkBar
from muniment.cli.runtime import run
from muniment.errors import MunimentError
from muniment.processes.function import (
    FunctionEnded,
    FunctionRaised,
    IsolatedFunction,
    run_function,
)
from muniment.reconcile.results.given import FileGiven, FilesGiven
from muniment.reconcile.results.isolated import plan_files, reconcile_files
from muniment.reconcile.results.summary import Summary, WrittenFile
from muniment.reconcile.rules import Rules
from muniment.settings import Settings

_SHARE_OF_FREE = 0.8
"""Of the memory that is free when the work begins, what it may take where no setting says."""

_MIB = 2**20

Result = TypeVar("Result")


class ReconcileFailed(MunimentError):
    """The work ended without a result."""

    code = "reconcile_failed"
    title = "Reconcile failed"


class Stopped(Exception):
    """Somebody pressed Ctrl-C, or ended the process."""


def reconcile_locally(
    settings: Settings,
    files: dict[str, FileGiven],
    rules: Rules,
    targets: Outputs,
    *,
    hidden: bool,
) -> Summary:
    """Match files, put the results where they belong, and return the summary.

    Raises:
        MunimentError: a file cannot be read, nothing can be compared, a result cannot be written.
        Stopped: somebody ended it. Nothing is left behind.
    """
    with tempfile.TemporaryDirectory(prefix="muniment-reconcile-") as name:
        folder = Path(name)
        given = _given(settings, files, rules, folder)
        summary = guarded(settings, reconcile_files, given, hidden=hidden)
        places = targets.by_name()
        replaced = place((folder / file.path, places[file.what]) for file in summary.files)
        written = [
            WrittenFile(file.what, str(places[file.what]), file.rows, before)
            for file, before in zip(summary.files, replaced, strict=True)
        ]
    return msgspec.structs.replace(summary, files=written)


def plan_locally(
    settings: Settings, files: dict[str, FileGiven], rules: Rules, *, hidden: bool
) -> dict[str, Any]:
    """Return what would be compared, and what that costs; nothing is compared.

    Raises:
        MunimentError, Stopped: as `reconcile_locally`.
    """
    with tempfile.TemporaryDirectory(prefix="muniment-reconcile-") as name:
        given = _given(settings, files, rules, Path(name))
        return guarded(settings, plan_files, given, hidden=hidden)


def _given(
    settings: Settings, files: dict[str, FileGiven], rules: Rules, folder: Path
) -> FilesGiven:
    known = {
        side: _reachable(settings, file, folder / f"{side}.input") for side, file in files.items()
    }
    return FilesGiven(
        known["left"],
        known.get("right"),
        known.get("evidence"),
        rules,
        settings.reconcile_max_bytes,
        folder,
    )


def _reachable(settings: Settings, file: FileGiven, copy: Path) -> FileGiven:
    """Return a file as the process of the work can read it, which shares no pipes with us."""
    if file.database is not None:
        return msgspec.structs.replace(file, database=address_of(file.database, settings))
    if file.path.is_file():
        return file
    with file.path.open("rb") as pipe, copy.open("wb") as kept:
        shutil.copyfileobj(pipe, kept)
    return msgspec.structs.replace(file, content=copy)


def guarded(
    settings: Settings,
    function: IsolatedFunction[FilesGiven, Result],
    given: FilesGiven,
    *,
    hidden: bool,
) -> Result:
    """Run a function of files in a guarded process under a progress bar.

    Raises:
        MunimentError: it failed.
        Stopped: somebody ended it.
    """
    _log_to_stderr()
    memory = memory_ceiling(settings)
    with WorkBar(hidden=hidden) as bar:

        async def show(done: int, total: int | None, step: str) -> None:
            bar.show(done, total, step)

        async def work() -> Result:
            task = asyncio.current_task()
            assert task is not None
            if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            return await run_function(function, given, memory_bytes=memory, on_progress=show)

        try:
            return run(work())
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise Stopped from None
        except FunctionRaised as raised:
            raise _of_exception(raised, memory) from None
        except FunctionEnded as ended:
            raise _of_end(ended, memory) from None
        except OSError as error:
            raise ReconcileFailed(
                f"No process can be started for the work: {error.strerror}."
            ) from error


def memory_ceiling(settings: Settings) -> int:
    """Return how many bytes the work may take: the setting, or most of what is free."""
    if "reconcile_memory_mb" in settings.model_fields_set:
        return settings.reconcile_memory_mb * _MIB
    free = int(psutil.virtual_memory().available * _SHARE_OF_FREE)
    return max(free, 256 * _MIB)


def _too_much(memory: int) -> ReconcileFailed:
    return ReconcileFailed(
        f"The work took more than the {memory // _MIB:,} MiB of memory that it may take: set "
        "MUNIMENT_RECONCILE_MEMORY_MB to more, or match fewer records at once."
    )


def _of_exception(raised: FunctionRaised, memory: int) -> MunimentError:
    told = raised.raised
    if "builtins:MemoryError" in told.classes:
        return _too_much(memory)
    if told.code is not None:
        return ReconcileFailed(told.detail, errors=told.errors)
    name = told.classes[0].rpartition(":")[2]
    what = f"{name}: {told.detail}" if told.detail else name
    frames = [line.strip() for line in told.stack.splitlines() if "muniment" in line]
    where = f" at {frames[-1]}" if frames else ""
    return ReconcileFailed(f"The work failed in a way that it should not{where}: {what}.")


def _of_end(ended: FunctionEnded, memory: int) -> MunimentError:
    if ended.verdict.over_ceiling:
        return _too_much(memory)
    if ended.verdict.exit_code == -signal.SIGKILL:
        return ReconcileFailed(
            "The work was killed from outside (SIGKILL), most likely because the machine ran out "
            "of memory."
        )
    return ReconcileFailed(f"The process of the work crashed: {ended.how}.")


def _log_to_stderr() -> None:
    """Keep what is logged off standard output, where results go."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
