"""Calls to services outside of this installation, each timed under the service's name.

Rooms that talk to one (Redis, a mail server, an identity provider, what a connector reads) say so
here; who keeps metrics or traces observes. Nothing is kept in this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol


class OutsideObserver(Protocol):
    """Looks at calls to outside services."""

    def called(self, service: str, outcome: str, seconds: float) -> None:
        """Take note of one call that ended."""
        ...

    def allowance(self, service: str, remaining: float) -> None:
        """Take note of how many calls a service says that it will still answer."""
        ...


_observers: list[OutsideObserver] = []


@contextmanager
def observe_outside_services(observer: OutsideObserver) -> Iterator[None]:
    """Report every call that ends while the context is open to `observer`."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


class OutsideCall:
    """A call that is under way.

    `outcome` is what it will be counted as when it raises nothing: `ok`, unless the body knows
    better. It becomes a label of metrics, so it must be one of a few words.
    """

    __slots__ = ("_service", "outcome")

    def __init__(self, service: str) -> None:
        self._service = service
        self.outcome = "ok"

    def allowance(self, remaining: float) -> None:
        """Pass on how many calls the service will still answer, as it said in its answer."""
        for observer in _observers:
            observer.allowance(self._service, remaining)


@contextmanager
def outside_service(service: str) -> Iterator[OutsideCall]:
    """Time the body as one call to a service.

    What raises is counted as `timeout`, `cancelled` or `error` and passes through.

    Args:
        service: a short name from the program's text (`redis`, `smtp`, `github`), never an
            address: it becomes a label of metrics.
    """
    call = OutsideCall(service)
    began = perf_counter()
    outcome = "error"
    try:
        yield call
        outcome = call.outcome
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    except Exception as error:
        # Each client has a class of its own for it.
        if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            outcome = "timeout"
        raise
    finally:
        seconds = perf_counter() - began
        for observer in _observers:
            observer.called(service, outcome, seconds)
