"""The queue as those see it who watch over the whole installation."""

from __future__ import annotations

from datetime import timedelta

from muniment.db import Database, TenantScope
from muniment.jobs import enqueue
from muniment.jobs.queue_state import queue_state
from tests.jobs.kinds import Note, nothing


async def test_all_organizations_are_counted(
    database: Database, scope: TenantScope, other_scope: TenantScope
) -> None:
    assert await queue_state(database) == []
    for each in (scope, other_scope):
        async with database.unit_of_work(each) as work:
            await enqueue(work, nothing, Note())
            await enqueue(work, nothing, Note(), run_after=timedelta(hours=1))
    [state] = await queue_state(database)
    assert (state.lane, state.kind) == ("fast", nothing.kind)
    assert (state.waiting, state.delayed, state.running) == (2, 2, 0)
    assert state.oldest_seconds is not None
    assert 0 <= state.oldest_seconds < 60
    assert not state.paused
