"""Kinds of jobs: what runs, in which lane, for how long and how often."""

from __future__ import annotations

import inspect
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

import msgspec

if TYPE_CHECKING:
    from muniment.jobs.running_job import RunningJob

Payload = TypeVar("Payload", bound=msgspec.Struct)


class Lane(StrEnum):
    """A queue of its own with its own concurrency, so that long work never delays short."""

    FAST = "fast"
    CONVERT = "convert"
    EMBED = "embed"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits between attempts, with jitter so that failures do not come in step."""

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)

    def delay(self, attempt: int) -> timedelta:
        """Return how long to wait after the given attempt (1 is the first) has failed.

        Half of the exponential wait is fixed and half random ("equal jitter", M. Brooker,
        Exponential Backoff and Jitter, AWS Architecture Blog, 2015).
        """
        doublings = min(attempt - 1, 32)
        ceiling: timedelta = min(self.first * 2**doublings, self.longest)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret


@dataclass(frozen=True, slots=True)
class Task(Generic[Payload]):
    """A kind of job and the coroutine that does it. Made by `task`."""

    kind: str
    """Stable name, ``<room>.<verb>``; stored with each job."""
    lane: Lane
    deadline: timedelta
    """How long one attempt may run before it is stopped."""
    max_attempts: int
    backoff: Backoff
    payload_type: type[Payload]
    handler: Callable[[RunningJob, Payload], Awaitable[None]]


def task(
    *,
    kind: str,
    lane: Lane,
    deadline: timedelta = timedelta(minutes=5),
    max_attempts: int = 5,
    backoff: Backoff | None = None,
) -> Callable[[Callable[[RunningJob, Payload], Awaitable[None]]], Task[Payload]]:
    """Turn ``async def handler(job: RunningJob, payload: SomeStruct)`` into a `Task`.

    The handler must be idempotent: a worker may die after it has done its work and before
    that is recorded, and then the job starts again. The payload's type is read from the
    annotation of the second parameter.

    Raises:
        TypeError: the second parameter is not annotated with a msgspec struct.
    """

    def decorate(handler: Callable[[RunningJob, Payload], Awaitable[None]]) -> Task[Payload]:
        return Task(
            kind=kind,
            lane=lane,
            deadline=deadline,
            max_attempts=max_attempts,
            backoff=backoff or Backoff(),
            payload_type=_payload_type(handler),
            handler=handler,
        )

    return decorate


def tasks_by_kind(tasks: Sequence[Task[Any]]) -> dict[str, Task[Any]]:
    """Index tasks by their kind.

    Raises:
        ValueError: two tasks have the same kind.
    """
    by_kind: dict[str, Task[Any]] = {}
    for each in tasks:
        if each.kind in by_kind:
            raise ValueError(f"two tasks are of the kind {each.kind!r}")
        by_kind[each.kind] = each
    return by_kind


def _payload_type(handler: Callable[..., Any]) -> Any:
    names = list(inspect.signature(handler).parameters)
    expected = f"{handler!r} must take a job and a payload annotated with a msgspec struct"
    if len(names) != 2:
        raise TypeError(expected)
    hints = get_type_hints(handler)
    payload_type = hints.get(names[1])
    if not (isinstance(payload_type, type) and issubclass(payload_type, msgspec.Struct)):
        raise TypeError(expected)
    return payload_type
