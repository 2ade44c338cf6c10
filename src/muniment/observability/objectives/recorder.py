"""Counting requests and jobs against the objectives that they belong to, in fixed memory."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Protocol

from muniment.objective_settings import Objective
from muniment.observability.objectives.histogram import BOUNDS, STEPS

TOTAL, GOOD, FAILED, FIRST_STEP = range(4)
"""Places in what a tally has counted; the steps of the histogram follow each other."""
Counts = list[int]
"""Total, good and failed ones, then those of each step."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR = 500


class Tally:
    """What one objective has seen since it was last asked."""

    __slots__ = ("_counts", "_failures", "_within", "series")

    def __init__(self, series: str, objective: Objective) -> None:
        """Count for a series what `objective` promises."""
        self.series = series
        within = objective.within_ms
        self._within = float("inf") if within is None else within / 1000
        self._failures = objective.failures
        self._counts = empty_counts()

    def add(self, seconds: float, *, failed: bool) -> None:
        """Count one request or job that took so long."""
        counts = self._counts
        counts[TOTAL] += 1
        if failed:
            counts[FAILED] += 1
        if seconds <= self._within and not (failed and self._failures):
            counts[GOOD] += 1
        counts[FIRST_STEP + bisect_left(BOUNDS, seconds)] += 1

    def take(self) -> Counts | None:
        """Return what was counted and begin anew; None if that is nothing."""
        counts = self._counts
        if counts[TOTAL] == 0:
            return None
        self._counts = empty_counts()
        return counts


class Recorder:
    """Counts in one process; an observer of requests and, as `of_jobs`, of jobs.

    Memory depends on the number of objectives, routes and kinds of jobs, never on traffic.
    """

    def __init__(self, objectives: Mapping[str, Objective]) -> None:
        """Count for these objectives, by name."""
        self._tallies = [
            (objective, Tally(series_of(name, objective), objective))
            for name, objective in objectives.items()
        ]
        self._by_route: dict[tuple[str, str], tuple[Tally, ...]] = {}
        self._by_kind: dict[str, tuple[Tally, ...]] = {}

    def request_ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its template."""
        key = (route, method)
        tallies = self._by_route.get(key)
        if tallies is None:
            tallies = tuple(
                tally for objective, tally in self._tallies if objective.covers_route(method, route)
            )
            # Callers may invent methods, and what they invent is not kept.
            if method in _METHODS:
                self._by_route[key] = tallies
        for tally in tallies:
            tally.add(seconds, failed=status >= _SERVER_ERROR)

    def job_ended(self, kind: str, seconds: float, *, failed: bool) -> None:
        """Count a job that took so long since it was due."""
        tallies = self._by_kind.get(kind)
        if tallies is None:
            tallies = self._by_kind[kind] = tuple(
                tally for objective, tally in self._tallies if objective.covers_job(kind)
            )
        for tally in tallies:
            tally.add(seconds, failed=failed)

    def take(self) -> dict[str, Counts]:
        """Return what each series has counted since the last time, and begin anew."""
        taken = ((tally.series, tally.take()) for _objective, tally in self._tallies)
        return {series: counts for series, counts in taken if counts is not None}


class Attempt(Protocol):
    """What is asked of the claim of a job."""

    @property
    def kind(self) -> str:
        """Kind of the job."""
        ...

    @property
    def waited(self) -> timedelta:
        """From when the attempt was due until it started."""
        ...


class JobObjectives:
    """Tells a recorder of the jobs of a worker; an observer of jobs.

    A job counts when it ends for good: succeeded or failed. Its time is that of the last attempt,
    from when that was due. What was cancelled, or is tried again, does not count.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Tell `recorder`."""
        self._recorder = recorder

    def attempt(self, claim: Attempt) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing around the attempt itself."""
        return nullcontext()

    def ended(self, claim: Attempt, ending: str, seconds: float, code: str | None) -> None:  # noqa: ARG002
        """Count a job that ended; `seconds` is how long its last attempt ran."""
        if ending in {"succeeded", "failed"}:
            waited = max(0.0, claim.waited.total_seconds())
            self._recorder.job_ended(claim.kind, waited + seconds, failed=ending == "failed")


def empty_counts() -> Counts:
    """Return counts of nothing."""
    return [0] * (FIRST_STEP + STEPS)


def series_of(name: str, objective: Objective) -> str:
    """Return under which name an objective is counted.

    It holds a digest of what decides what is counted, and as good: a changed objective begins
    anew instead of mixing two promises. Share and window may change without.
    """
    told = repr(
        (objective.routes, objective.jobs, objective.within_ms, objective.failures)
    ).encode()
    return f"{name}/{hashlib.sha256(told).hexdigest()[:8]}"
