"""One lane of a worker: claim when there is room, start what was claimed, wait for more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from muniment.jobs.claim import Claim, Claimed
from muniment.jobs.outcome import DATABASE_TROUBLE, Ledger, released
from muniment.jobs.presence import Presence
from muniment.jobs.task import Lane

_log = structlog.get_logger(__name__)

_SHORTEST_POLL = 1.0
_LONGEST_POLL = 30.0
_NEXT_LOOK = 0.1
_AHEAD_SECONDS = 0.05
_MOST_AHEAD = 1000
_PATIENCE = 0.5


class LaneRunner:
    """Runs the jobs of a lane, up to `concurrency` of them at a time.

    Where jobs take so little time that asking the database for each would dominate, the
    runner claims ahead what it will start within 50 ms, by the mean time of recent jobs. If
    a slow job comes between, what was claimed ahead is given back after half a second.
    """

    def __init__(
        self,
        lane: Lane,
        concurrency: int,
        *,
        claim: Callable[[Lane, int], Awaitable[Claimed]],
        start: Callable[[Claim], None],
        presence: Presence,
        ledger: Ledger,
    ) -> None:
        """`start` must begin the job and see to it that `ended` is called after it."""
        self.lane = lane
        self._concurrency = concurrency
        self._claim = claim
        self._start = start
        self._presence = presence
        self._ledger = ledger
        self._running = 0
        self._ready: deque[Claim] = deque()
        self._ready_since = 0.0
        self._mean_seconds = 1.0
        self._may_have_work = True
        self._poll = _SHORTEST_POLL
        self._look_at = 0.0
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def running(self) -> int:
        """How many jobs run."""
        return self._running

    @property
    def slots(self) -> int:
        """How many may run at a time."""
        return self._concurrency

    def announce(self) -> None:
        """Tell that there may be work in the queue."""
        self._may_have_work = True
        self._poll = _SHORTEST_POLL
        self._wake.set()

    def wake(self) -> None:
        """Tell that what kept the lane from claiming may be over."""
        self._wake.set()

    def ended(self, seconds: float) -> None:
        """Tell that a started job has left its slot after so many seconds."""
        self._running -= 1
        # A slow job counts at once, fast ones have to prove themselves.
        weight = 0.5 if seconds > self._mean_seconds else 0.1
        self._mean_seconds += (seconds - self._mean_seconds) * weight
        self._fill()
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more and give back what has not started."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Claim and start jobs until `stop`."""
        while not self._stopping:
            self._wake.clear()
            limit = self._claimable()
            if limit and await self._claim_up_to(limit):
                continue
            await self._wait()
        self._give_back()

    def _claimable(self) -> int:
        if not (self._may_have_work and self._presence.held.is_set() and self._ledger.has_room):
            return 0
        ahead = min(_MOST_AHEAD, int(self._concurrency * _AHEAD_SECONDS / self._mean_seconds))
        limit = self._concurrency + ahead - self._running - len(self._ready)
        # Half of what may be claimed ahead is claimed at a time, not each job that ends.
        return limit if limit > ahead // 2 else 0

    async def _claim_up_to(self, limit: int) -> bool:
        """Claim and start; return whether to look again at once."""
        # Set before the look: what is announced during it counts for the next.
        self._may_have_work = False
        try:
            claimed = await self._claim(self.lane, limit)
        except (*DATABASE_TROUBLE, TimeoutError) as error:
            _log.warning("nothing claimed", lane=self.lane.value, error=str(error))
            self._look_at = monotonic() + self._poll
            return False
        if claimed.claims:
            self._poll = _SHORTEST_POLL
            self._ready_since = monotonic()
            self._ready.extend(claimed.claims)
            self._fill()
        if claimed.more:
            self._may_have_work = True
            return True
        self._look_at = monotonic() + self._pause(claimed)
        return False

    def _pause(self, claimed: Claimed) -> float:
        """Return the seconds until the next look at a lane that has nothing more for now.

        A claim that found something does not ask when more is due, so that its jobs start
        without that delay; a look soon after it does.
        """
        if claimed.claims:
            return _NEXT_LOOK
        pause = self._poll
        self._poll = min(self._poll * 2, _LONGEST_POLL)
        if claimed.next_due is None:
            return pause
        return min(pause, max(0.0, claimed.next_due.total_seconds()) + 0.001)

    def _fill(self) -> None:
        while self._ready and self._running < self._concurrency and not self._stopping:
            self._running += 1
            self._start(self._ready.popleft())

    async def _wait(self) -> None:
        """Wait to be woken, or until it is time to look at the queue unasked."""
        seconds = self._look_at - monotonic() if not self._may_have_work else _LONGEST_POLL
        if self._ready:
            seconds = min(seconds, self._ready_since + _PATIENCE - monotonic())
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, seconds))
        except TimeoutError:
            if self._ready and monotonic() >= self._ready_since + _PATIENCE:
                self._mean_seconds = max(self._mean_seconds, 1.0)
                self._give_back()
            if monotonic() >= self._look_at:
                self._may_have_work = True

    def _give_back(self) -> None:
        while self._ready:
            self._ledger.add(released(self._ready.popleft()))
