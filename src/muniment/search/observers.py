"""Who looks at searches as they are made: metrics and traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, Protocol

from muniment.spans import stage as span_of_stage

Stage = Literal["embed", "candidates", "fetch", "total"]
Outcome = Literal["found", "nothing", "refused", "failed"]


class SearchObserver(Protocol):
    """Looks at searches."""

    def stage(self, mode: str, stage: Stage, seconds: float) -> None:
        """Take note that a stage of a search is done."""
        ...

    def ended(self, mode: str, outcome: Outcome) -> None:
        """Take note that a search has ended."""
        ...


_observers: list[SearchObserver] = []


@contextmanager
def observe_searches(observer: SearchObserver) -> Iterator[None]:
    """Report every search that is made while the context is open to `observer`."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def search_stage(mode: str, stage: Stage) -> Iterator[None]:
    """Time the body as a stage of a search, unless it fails."""
    began = perf_counter()
    with span_of_stage(f"search {stage}", {"muniment.search.mode": mode}):
        yield
    seconds = perf_counter() - began
    for observer in _observers:
        observer.stage(mode, stage, seconds)


def search_ended(mode: str, outcome: Outcome) -> None:
    """Report how a search ended."""
    for observer in _observers:
        observer.ended(mode, outcome)
