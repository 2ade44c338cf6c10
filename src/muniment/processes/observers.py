"""Who looks at the processes that we start and kill: metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

EndOfProcess = Literal["closed", "recycled", "cancelled", "timeout", "memory", "crash"]
"""Why a process ended: no longer needed, replaced in time, or in the middle of its work."""


class ProcessObserver(Protocol):
    """Looks at processes; `role` is a word of the program's text for what they do."""

    def started(self, role: str, pid: int) -> None:
        """Take note of a process that runs."""
        ...

    def ending(self, role: str, pid: int) -> None:
        """Take note of a process that is about to be killed; it can still be measured."""
        ...

    def ended(self, role: str, pid: int, reason: EndOfProcess) -> None:
        """Take note of a process that is gone."""
        ...


_observers: list[ProcessObserver] = []


@contextmanager
def observe_processes(observer: ProcessObserver) -> Iterator[None]:
    """Report every process that is started or ends while the context is open to `observer`."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


class ObservedProcess:
    """One process, and what was told of it."""

    __slots__ = ("_pid", "_role", "_told_end")

    def __init__(self, role: str, pid: int) -> None:
        """Tell that it has started."""
        self._role = role
        self._pid = pid
        self._told_end = False
        for observer in _observers:
            observer.started(role, pid)

    def ending(self) -> None:
        """Tell that it is about to be killed."""
        for observer in _observers:
            observer.ending(self._role, self._pid)

    def ended(self, reason: EndOfProcess) -> None:
        """Tell that it is gone, once."""
        if not self._told_end:
            self._told_end = True
            for observer in _observers:
                observer.ended(self._role, self._pid, reason)
