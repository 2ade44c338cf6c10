"""What a process that may be killed does first."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from pathlib import Path
from typing import BinaryIO


def expendable() -> None:
    """Leave no core dump, be the first to go when memory runs out, end only by the parent's will.

    A service manager that stops us tells every process so; the parent lets its work finish.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text("800")


def private_streams(output: int | None = None) -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for frames; return them.

    What libraries print goes to the descriptor `output` instead, or nowhere.
    """
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    for descriptor in (1, 2):
        os.dup2(nothing if output is None else output, descriptor)
    os.close(nothing)
    return requests, replies
