"""Work that a request causes and does not wait for, so that its time tells nobody anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import structlog

MOST = 200
"""Pieces of work at a time; what comes on top is dropped and logged."""

_PATIENCE_SECONDS = 30.0

_log = structlog.get_logger()


class AfterAnswer:
    """Does work beside the request that asked for it: mails, notes of failed sign-ins.

    If it ran before the answer, how long that takes would tell whether an account exists. It is
    lost when the process is killed, so nothing that must happen belongs here.
    """

    def __init__(self, most: int = MOST) -> None:
        """Do at most so many pieces of work at a time."""
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work and return at once."""
        if len(self._tasks) >= self._most:
            work.close()
            _log.warning("work_after_answer_dropped", most=self._most)
            return
        # A context of its own: the statements are not those of the request.
        task = asyncio.create_task(_logged(work), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for all that has begun; after half a minute, give up on the rest."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_PATIENCE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - the edge of the process: nobody awaits this
        # Messages may hold what the work was about, a link with a token: the kind must do.
        _log.error("work_after_answer_failed", reason=type(error).__name__)
