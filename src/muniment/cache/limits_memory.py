"""Counts of requests in the memory of one process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from muniment.cache.limits_window import Counts, Rate, weight

MAX_SUBJECTS = 50_000
"""Most subjects of one kind that are counted at a time; about 240 bytes each."""

_Subjects = OrderedDict[str, tuple[int, int, int]]
"""Number of the window, requests in it, requests in the one before; least recent first."""
_NOTHING = (-2, 0, 0)


class MemoryCounters:
    """Sliding windows of one process.

    Each kind of subject with each length of window has a shelf of its own, ordered by last
    use: whatever has expired is at its front and is dropped there a little with each request,
    so no request pays for the number of subjects. A full shelf forgets the subject that was
    idle for longest; a flood of addresses can not make an organization forgotten.
    """

    def __init__(
        self, *, max_subjects: int = MAX_SUBJECTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with no subject; `clock` returns seconds that never go back."""
        self._shelves: dict[tuple[str, float], _Subjects] = {}
        self._max_subjects = max_subjects
        self._clock = clock

    @property
    def subjects(self) -> int:
        """How many subjects are counted at the moment."""
        return sum(map(len, self._shelves.values()))

    async def take(
        self, group: str, claims: Sequence[tuple[str, str, Rate]], amount: int
    ) -> list[Counts]:
        """Count `amount` (1, 0 to only ask, -1 to give back) for all claims, or for none.

        A claim is a kind, a subject and a rate. Returns a count for each in the same order.
        """
        del group  # Everything is in one place here.
        now = self._clock()
        found = [self._counts(kind, subject, rate, now) for kind, subject, rate in claims]
        if amount < 0 or (amount and all(counts.admitted for counts in found)):
            return [
                self._write(claim, counts, amount, now)
                for claim, counts in zip(claims, found, strict=True)
            ]
        return found

    async def forget(self, kind: str, subject: str, rate: Rate) -> None:
        """Forget what was counted for a subject."""
        if shelf := self._shelves.get((kind, rate.per)):
            shelf.pop(subject, None)

    def _counts(self, kind: str, subject: str, rate: Rate, now: float) -> Counts:
        window, elapsed = divmod(now, rate.per)
        shelf = self._shelves.get((kind, rate.per))
        last, current, previous = shelf.get(subject, _NOTHING) if shelf else _NOTHING
        if last != window:
            previous = current if last == window - 1 else 0
            current = 0
        admitted = weight(previous, current, elapsed, rate.per) + 1 <= rate.limit
        return Counts(admitted, previous, current, elapsed)

    def _write(
        self, claim: tuple[str, str, Rate], counts: Counts, amount: int, now: float
    ) -> Counts:
        kind, subject, rate = claim
        window = int(now // rate.per)
        shelf = self._shelves.setdefault((kind, rate.per), OrderedDict())
        current, previous = counts.current + amount, counts.previous
        if current < 0:
            current, previous = 0, max(0, previous - 1)
        shelf[subject] = (window, current, previous)
        shelf.move_to_end(subject)
        self._tidy(shelf, window)
        return Counts(counts.admitted, previous, current, counts.elapsed)

    def _tidy(self, shelf: _Subjects, window: int) -> None:
        # Two for each one that may have come, so the shelf shrinks faster than it grows.
        for _ in range(2):
            oldest = next(iter(shelf))
            if window - shelf[oldest][0] < 2 and len(shelf) <= self._max_subjects:
                return
            del shelf[oldest]
