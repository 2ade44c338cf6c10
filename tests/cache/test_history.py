"""What a process may conclude from what it heard, tried on random courses of events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.cache import EVERYTHING
from muniment.cache.history import History, Position

TAGS = ("p/a", "p/b", "p/c")


@dataclass
class Process:
    """A process that hears the stream late, and the loads that it has begun."""

    history: History = field(default_factory=lambda: History(remembered_tags=2, remembered_marks=3))
    unheard: deque[tuple[str, ...]] = field(default_factory=deque)

    def hear(self) -> None:
        payload = self.unheard.popleft()
        if payload[0].startswith("#"):
            self.history.add_mark(payload[0])
        else:
            self.history.announced(payload)


@dataclass
class Stored:
    """A value as Redis would hold it, and the versions that it was loaded from."""

    tag: str
    version: int
    position: Position


class Installation:
    """Versions of what tags stand for, the stream of announcements, and processes that hear it."""

    def __init__(self) -> None:
        self.versions = dict.fromkeys(TAGS, 0)
        self.processes: list[Process] = []
        self.stored: list[Stored] = []
        self.marks = 0

    def join(self) -> None:
        """A process begins: its mark goes into the stream, and it hears all from there on."""
        self.marks += 1
        mark = f"#{self.marks}"
        for process in self.processes:
            process.unheard.append((mark,))
        newcomer = Process()
        newcomer.history.restart(mark)
        self.processes.append(newcomer)

    def leave(self, number: int) -> None:
        del self.processes[number % len(self.processes)]

    def commit(self, tags: tuple[str, ...], by: int | None) -> None:
        for tag in tags:
            self.versions[tag] += 1
        for process in self.processes:
            process.unheard.append(tags)
        if by is not None and self.processes:
            self.processes[by % len(self.processes)].history.expect(tags, 1)

    def store(self, number: int, tag: str) -> None:
        """A process loads what is true now, and puts it into Redis with its own position."""
        position = self.processes[number % len(self.processes)].history.position
        assert position is not None
        self.stored.append(Stored(tag, self.versions[tag], position))


def heard_all(process: Process, tag: str) -> bool:
    return not any(tag in payload for payload in process.unheard)


tags = st.lists(st.sampled_from(TAGS), min_size=1, max_size=2, unique=True).map(tuple)
number = st.integers(0, 5)
events = st.one_of(
    st.tuples(st.just("join")),
    st.tuples(st.just("leave"), number),
    st.tuples(st.just("commit"), tags, st.none() | number),
    st.tuples(st.just("store"), number, st.sampled_from(TAGS)),
    st.tuples(st.just("hear"), number),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(events, max_size=60))
def test_who_has_heard_of_a_change_takes_nothing_older_from_redis(
    course: list[tuple[object, ...]],
) -> None:
    installation = Installation()
    installation.join()
    for name, *arguments in course:
        if not installation.processes and name != "join":
            continue
        if name == "hear":
            process = installation.processes[arguments[0] % len(installation.processes)]
            if process.unheard:
                process.hear()
        else:
            getattr(installation, str(name))(*arguments)
        # Whatever Redis kept, lost or brought back: any value ever stored may be read by anyone.
        for process in installation.processes:
            for stored in installation.stored:
                if process.history.covers(stored.position, (stored.tag,)):
                    stale = stored.version < installation.versions[stored.tag]
                    assert not (stale and heard_all(process, stored.tag))


def test_a_value_is_shared_with_all_who_were_there() -> None:
    ours, theirs = History(), History()
    ours.restart("#1")
    for history in (ours, theirs):
        history.announced(["p/a"])
    theirs.restart("#2")
    ours.add_mark("#2")
    for history in (ours, theirs):
        history.announced(["p/a", "p/b"])
    position = ours.position
    assert position == theirs.position == Position("#2", 1)
    for history in (ours, theirs):
        assert history.covers(position, ("p/a",))
        history.announced(["p/a"])
        assert not history.covers(position, ("p/a",))
        assert history.covers(position, ("p/b",))
        history.announced([EVERYTHING])
        assert not history.covers(position, ("p/b",))


def test_a_value_from_before_our_time_is_not_taken() -> None:
    ours, theirs = History(), History()
    ours.restart("#1")
    early = ours.position
    assert early is not None
    ours.add_mark("#2")
    theirs.restart("#2")
    assert ours.covers(early, ("p/a",))
    assert not theirs.covers(early, ("p/a",))


def test_a_commit_of_our_own_is_heeded_before_it_is_announced() -> None:
    history = History()
    history.restart("#1")
    position, began = history.position, history.step
    assert position is not None
    history.expect(["p/a"], answer=3)
    assert not history.is_fresh(began, ("p/a",))
    assert history.is_fresh(began, ("p/b",))
    assert history.is_fresh(history.step, ("p/a",))
    history.answered(2)
    assert not history.covers(position, ("p/a",))
    history.announced(["p/a"])
    history.answered(3)
    assert not history.covers(position, ("p/a",))
    position = history.position
    assert position is not None
    assert history.covers(position, ("p/a",))


def test_what_was_forgotten_counts_as_invalidated() -> None:
    history = History(remembered_tags=2)
    history.restart("#1")
    position, began = history.position, history.step
    assert position is not None
    history.announced(["p/a"])
    assert history.is_fresh(began, ("p/z",))
    for tag in ("p/b", "p/c"):
        history.announced([tag])
    assert not history.is_fresh(began, ("p/z",))
    assert not history.covers(position, ("p/z",))
