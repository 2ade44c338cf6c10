"""Lanes for the operator: how each stands, and pausing and resuming one."""

from __future__ import annotations

import structlog

from muniment.db import UnitOfWork, load_statements
from muniment.jobs.control.schemas import LaneState
from muniment.jobs.task import Lane

_log = structlog.get_logger(__name__)
_statements = load_statements("muniment.jobs.control")


async def list_lanes(work: UnitOfWork) -> list[LaneState]:
    """Return how every lane stands, in a transaction of the operator."""
    rows = await _statements.lanes(work, lanes=list(Lane))
    found = {row["lane"]: row for row in rows}
    return [
        LaneState(
            lane,
            row["waiting"],
            row["delayed"],
            row["running"],
            row["oldest_seconds"],
            row["workers"],
            row["paused_at"],
            row["paused_by"],
        )
        for lane in Lane
        if (row := found[lane]) is not None
    ]


async def find_lane(work: UnitOfWork, lane: Lane) -> LaneState:
    """Return how a lane stands."""
    return next(state for state in await list_lanes(work) if state.lane is lane)


async def pause_lane(work: UnitOfWork, lane: Lane, operator: str) -> LaneState:
    """Let a lane start nothing more; what runs may finish. Does nothing to a paused one.

    Args:
        work: a transaction of the operator.
        lane: which.
        operator: who pauses it, as the log names them.
    """
    await _statements.pause_lane(work, lane=lane, paused_by=operator)
    _log.info("lane paused", lane=lane.value, operator=operator)
    return await find_lane(work, lane)


async def resume_lane(work: UnitOfWork, lane: Lane, operator: str) -> LaneState:
    """Let a paused lane start jobs again; see `pause_lane`."""
    await _statements.resume_lane(work, lane=lane)
    _log.info("lane resumed", lane=lane.value, operator=operator)
    return await find_lane(work, lane)
