"""The changes of a job as server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic
from uuid import UUID

import msgspec
import structlog

from muniment.db import TenantScope
from muniment.jobs.errors import JobNotFound
from muniment.jobs.events.hub import JobEvents
from muniment.jobs.outcome import DATABASE_TROUBLE
from muniment.jobs.schemas import JobDetail

_log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
LONGEST_SECONDS = 15 * 60.0
"""After which a client comes back, so that it is asked anew who it is."""
_REGISTER_SECONDS = 5.0
_RECONNECT_MS = 2000


async def job_event_stream(
    events: JobEvents,
    scope: TenantScope,
    job_id: UUID,
    *,
    heartbeat: float = HEARTBEAT_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> AsyncIterator[bytes]:
    """Yield the state now, each change, and the end, as the bytes of an event stream.

    The event is `status` when the status changed, else `progress`; `end` follows the last, when
    the job and its children have ended. The stream also ends, without that event, after `longest`
    seconds, when the process stops and when the database does not answer: clients come back.
    """
    until = monotonic() + longest
    yield f"retry: {_RECONNECT_MS}\n\n".encode()
    with events.watch(scope, job_id) as watch:
        try:
            state = await watch.first(_REGISTER_SECONDS)
        except (JobNotFound, TimeoutError, *DATABASE_TROUBLE) as error:
            _log.warning("job events not begun", job_id=str(job_id), error=str(error))
            return
        number = 1
        yield _event("status", number, state)
        while not (state.settled or watch.ended) and monotonic() < until:
            change = await watch.change(min(heartbeat, until - monotonic()))
            if change is None:
                yield b":\n\n"
                continue
            number += 1
            kind = "progress" if change.status is state.status else "status"
            state = change
            yield _event(kind, number, state)
        if state.settled:
            yield _event("end", number + 1, state)


def _event(kind: str, number: int, state: JobDetail) -> bytes:
    data = msgspec.json.encode(state)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), data)
