"""What was invalidated when, in the order that all processes agree on.

Postgres delivers the notifications of a channel to every listener in one and the same order, the
order of their commits. So a process can say how much it had heard when it began to load a value,
and any other can judge by what it has heard itself whether that value may still be served. No
clock and nothing in Redis is involved: Redis may lose, keep or bring back whatever it likes.

Processes begin to listen at different times, so counts need a common origin: each process puts a
mark into the stream when it begins. Whoever hears it counts from there, hence a position is "so
many announcements after this mark". Only those who were listening can place it. A value from
before our time, whose later announcements we can not know, has a mark that we never heard.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from muniment.cache.memory import EVERYTHING

REMEMBERED_TAGS = 10_000
REMEMBERED_MARKS = 1_000


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place in the stream of announcements."""

    mark: str
    after: int
    """Announcements between the mark and this place."""


@dataclass(slots=True)
class _Invalidation:
    """The last time that a tag was invalidated, by both measures."""

    step: int
    heard: int


class History:
    """The announcements that this process has heard, as far as they matter.

    Time is measured twice. `step` counts all that happens here and tells whether something was
    invalidated while a load ran; announcements alone are counted for positions.
    """

    def __init__(
        self, remembered_tags: int = REMEMBERED_TAGS, remembered_marks: int = REMEMBERED_MARKS
    ) -> None:
        self.step = 0
        self.heard = 0
        self._remembered_tags = remembered_tags
        self._remembered_marks = remembered_marks
        self._last: OrderedDict[str, _Invalidation] = OrderedDict()
        self._floor = _Invalidation(0, 0)
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._origin: str | None = None
        self._expected: dict[str, int] = {}

    def restart(self, mark: str) -> None:
        """Begin anew with a mark of our own: what was announced before it may be unknown."""
        self.step += 1
        self._last.clear()
        self._marks.clear()
        self._expected.clear()
        self._floor = _Invalidation(self.step, self.heard)
        self.add_mark(mark)

    def add_mark(self, mark: str) -> None:
        """Count from a mark that some process put into the stream."""
        self._marks[mark] = self.heard
        self._origin = mark
        if len(self._marks) > self._remembered_marks:
            self._marks.popitem(last=False)

    def announced(self, tags: Iterable[str]) -> None:
        """Note one announcement from the stream."""
        self.step += 1
        self.heard += 1
        for tag in tags:
            self._note(tag, self.heard)

    def expect(self, tags: Iterable[str], answer: int) -> None:
        """Note a commit that we know of, but whose announcement may still be on its way.

        Args:
            tags: what it invalidated.
            answer: number of the ping whose answer proves that the announcement has arrived.
        """
        self.step += 1
        for tag in tags:
            known = self._last.get(tag, self._floor)
            self._note(tag, known.heard)
            self._expected[tag] = max(answer, self._expected.get(tag, 0))

    def answered(self, answer: int) -> None:
        """Note that all announcements from before a ping have arrived."""
        if self._expected:
            self._expected = {tag: ping for tag, ping in self._expected.items() if ping > answer}

    def is_fresh(self, began: int, tags: tuple[str, ...]) -> bool:
        """Tell whether none of the tags was invalidated since the step `began`."""
        last, floor = self._last, self._floor
        return all(last.get(tag, floor).step <= began for tag in (*tags, EVERYTHING))

    @property
    def position(self) -> Position | None:
        """Where in the stream we are; None before the first mark."""
        if self._origin is None:
            return None
        return Position(self._origin, self.heard - self._marks[self._origin])

    def covers(self, position: Position, tags: tuple[str, ...]) -> bool:
        """Tell whether what was loaded at a position has seen each of the tags' invalidations."""
        origin = self._marks.get(position.mark)
        if origin is None:
            return False
        heard = origin + position.after
        last, floor, expected = self._last, self._floor, self._expected
        return all(
            last.get(tag, floor).heard <= heard and tag not in expected
            for tag in (*tags, EVERYTHING)
        )

    def _note(self, tag: str, heard: int) -> None:
        self._last[tag] = _Invalidation(self.step, heard)
        self._last.move_to_end(tag)
        if len(self._last) > self._remembered_tags:
            # Tags that were forgotten count as invalidated at the last one that was.
            _, forgotten = self._last.popitem(last=False)
            self._floor = _Invalidation(forgotten.step, max(self._floor.heard, forgotten.heard))
