"""Heavy work of a handler in a process of its own, which can be killed without harm.

For what computes rather than waits: it leaves the event loop alone, may take only so much
memory, and may crash or hang as it likes:

    class Totals(msgspec.Struct): ...

    def add_up(arguments: Ledger, report: Reporter) -> Totals: ...

    @task(kind="ledger.add_up", lane=Lane.RECONCILE, deadline=timedelta(hours=1))
    async def add_up_ledger(job: RunningJob, payload: LedgerPayload) -> None:
        totals = await run_isolated(job, add_up, ledger, memory_mb=1024)
        async with job.unit_of_work() as work:
            ...  # what is to last is written here, once, by the handler
"""

from __future__ import annotations

import signal

import structlog

from muniment.errors import MunimentError
from muniment.jobs.errors import (
    IsolatedCrash,
    IsolatedFailure,
    IsolatedMemory,
    IsolatedUnavailable,
    PermanentFailure,
)
from muniment.jobs.running_job import RunningJob
from muniment.processes.function import (
    Arguments,
    FunctionEnded,
    FunctionRaised,
    IsolatedFunction,
    Result,
    run_function,
)
from muniment.processes.reporter import Reporter

__all__ = ["IsolatedFunction", "Reporter", "run_isolated"]

_log = structlog.get_logger(__name__)

_PERMANENT = f"{PermanentFailure.__module__}:{PermanentFailure.__qualname__}"
_OF_A_CRASH = ("Fatal Python error:", "Current thread 0x", "Thread 0x", '  File "')
_MEMORY = "builtins:MemoryError"


async def run_isolated(
    job: RunningJob,
    function: IsolatedFunction[Arguments, Result],
    arguments: Arguments,
    *,
    memory_mb: int,
    memory_setting: str | None = None,
) -> Result:
    """Run `function(arguments, report)` in a fresh process for this job; return what it returns.

    The function is synchronous, at the top level of a module, and annotated with the types that
    it takes and returns: msgspec structs, builtins or paths, of moderate size (large data goes
    through files). What it reports becomes the job's progress, in rows unless it says otherwise;
    what it logs is logged here, with the job's ids, up to 1,000 lines.

    The process and all that it has started are gone when this returns or raises. They are killed
    when the handler is cancelled (at the job's deadline, on request, when the worker stops), when
    they take more than `memory_mb` MiB of resident memory together, and when the worker dies.

    Args:
        memory_setting: what to raise when the memory does not suffice; named in the error.

    Raises:
        IsolatedMemory: it took too much memory. Permanent.
        IsolatedCrash: the process ended without an answer; tried again.
        IsolatedFailure: the function raised an exception of Python or a library; tried again.
        IsolatedUnavailable: no process can be started; tried again.
        MunimentError: the function raised it; permanent if it is a `PermanentFailure`.
        TypeError: the function cannot be run so.
    """
    try:
        return await run_function(
            function,
            arguments,
            memory_bytes=memory_mb * 1024 * 1024,
            on_progress=job.progress,
        )
    except OSError as error:
        raise IsolatedUnavailable(
            f"No process can be started for the work: {error.strerror}."
        ) from error
    except FunctionEnded as ended:
        raise _of_end(ended, memory_mb, memory_setting) from None
    except FunctionRaised as raised:
        raise _of_exception(raised, memory_mb, memory_setting) from None


def _too_much(memory_mb: int, setting: str | None) -> IsolatedMemory:
    remedy = f"Raise {setting}, or give" if setting else "Give"
    return IsolatedMemory(
        f"The work took more than the {memory_mb} MiB of memory that it may. {remedy} it less to "
        "do at once."
    )


def _of_end(ended: FunctionEnded, memory_mb: int, setting: str | None) -> MunimentError:
    verdict = ended.verdict
    if verdict.over_ceiling:
        return _too_much(memory_mb, setting)
    _log.warning(
        "isolated process ended without an answer",
        how=ended.how,
        peak_mb=verdict.peak_bytes // 2**20,
        stack=_stack(verdict.output.decode(errors="replace")),
    )
    if verdict.exit_code == -signal.SIGKILL:
        return IsolatedCrash(
            "The process of the work was killed from outside (SIGKILL), most likely because the "
            "machine ran out of memory."
        )
    return IsolatedCrash(f"The process of the work crashed: {ended.how}.")


def _stack(printed: str) -> str:
    """Keep what Python prints of a crash; the rest may be of the data, which is never logged."""
    return "\n".join(line for line in printed.splitlines() if line.startswith(_OF_A_CRASH))


def _of_exception(raised: FunctionRaised, memory_mb: int, setting: str | None) -> Exception:
    told = raised.raised
    if _MEMORY in told.classes:
        return _too_much(memory_mb, setting)
    if told.code is not None:
        known = raised.found_class()
        if known is not None and issubclass(known, MunimentError):
            return known(told.detail, errors=told.errors)
        base = PermanentFailure if _PERMANENT in told.classes else IsolatedFailure
        return base(f"{told.code}: {told.detail}")
    name = told.classes[0].rpartition(":")[2]
    _log.warning("isolated function failed", error=name, stack=told.stack)
    return IsolatedFailure(f"{name}: {told.detail}" if told.detail else name)
