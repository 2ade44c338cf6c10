"""What is counted as what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest

from muniment.objective_settings import Objective
from muniment.observability.objectives.histogram import BOUNDS, STEPS, quantile
from muniment.observability.objectives.recorder import (
    FAILED,
    FIRST_STEP,
    GOOD,
    TOTAL,
    JobObjectives,
    Recorder,
    series_of,
)
from tests.observability.objectives.conftest import BOTH, CONVERT, SEARCH, SERIES


@dataclass
class Claim:
    kind: str = "documents.convert"
    waited: timedelta = timedelta(seconds=50)


def test_a_request_in_time_is_good_and_one_on_the_dot_too() -> None:
    recorder = Recorder(BOTH)
    for milliseconds in (1, 300, 300.1, 4_000):
        recorder.request_ended("/v1/search", "POST", 200, milliseconds / 1000)
    counts = recorder.take()[SERIES["search"]]
    assert (counts[TOTAL], counts[GOOD], counts[FAILED]) == (4, 2, 0)
    assert len(counts) == FIRST_STEP + STEPS
    steps = {place: count for place, count in enumerate(counts[FIRST_STEP:]) if count}
    places = [BOUNDS.index(bound) for bound in (0.001, 0.3, 0.5, 5.0)]
    assert steps == dict.fromkeys(places, 1)


def test_a_failure_is_bad_however_fast() -> None:
    recorder = Recorder(BOTH)
    for status in (200, 404, 429, 499, 500, 503):
        recorder.request_ended("/v1/search", "POST", status, 0.01)
    counts = recorder.take()[SERIES["search"]]
    assert (counts[TOTAL], counts[GOOD], counts[FAILED]) == (6, 4, 2)


def test_failures_that_do_not_count_are_judged_by_their_time() -> None:
    lenient = SEARCH.model_copy(update={"failures": False})
    recorder = Recorder({"search": lenient})
    recorder.request_ended("/v1/search", "POST", 500, 0.01)
    recorder.request_ended("/v1/search", "POST", 500, 1)
    (counts,) = recorder.take().values()
    assert (counts[TOTAL], counts[GOOD], counts[FAILED]) == (2, 1, 2)


def test_other_routes_and_methods_are_not_counted() -> None:
    recorder = Recorder(BOTH)
    recorder.request_ended("/v1/search", "GET", 200, 0.01)
    recorder.request_ended("/v1/searches", "POST", 200, 0.01)
    recorder.request_ended("(unmatched)", "POST", 404, 0.01)
    assert recorder.take() == {}


def test_what_was_taken_is_not_taken_again() -> None:
    recorder = Recorder(BOTH)
    recorder.request_ended("/v1/search", "POST", 200, 0.01)
    assert recorder.take().keys() == {SERIES["search"]}
    assert recorder.take() == {}


def test_invented_methods_take_no_memory() -> None:
    recorder = Recorder({"all": Objective(routes=("* /v1/*",), share=0.9)})
    for number in range(100):
        recorder.request_ended("/v1/search", f"METHOD{number}", 405, 0.01)
    assert len(recorder._by_route) == 0
    (counts,) = recorder.take().values()
    assert counts[TOTAL] == 100


def test_a_job_takes_from_when_it_was_due_and_counts_when_it_ends() -> None:
    recorder = Recorder(BOTH)
    jobs = JobObjectives(recorder)
    with jobs.attempt(Claim()):
        pass
    jobs.ended(Claim(), "succeeded", 10.0, None)
    jobs.ended(Claim(), "succeeded", 10.1, None)
    jobs.ended(Claim(), "failed", 0.1, "conversion_failed")
    for outcome in ("cancelled", "retried", "released", "lost"):
        jobs.ended(Claim(), outcome, 0.1, None)
    jobs.ended(Claim(kind="other"), "succeeded", 0.1, None)
    taken = recorder.take()
    assert taken.keys() == {SERIES["convert"]}
    counts = taken[SERIES["convert"]]
    assert (counts[TOTAL], counts[GOOD], counts[FAILED]) == (3, 1, 1)


def test_a_changed_promise_begins_a_new_series() -> None:
    assert series_of("search", SEARCH) == SERIES["search"]
    for change in ({"within_ms": 200.0}, {"failures": False}, {"routes": ("* /v1/search",)}):
        assert series_of("search", SEARCH.model_copy(update=change)) != SERIES["search"]
    for change in ({"share": 0.5}, {"days": 7}):
        assert series_of("search", SEARCH.model_copy(update=change)) == SERIES["search"]
    assert len(series_of("a" * 40, CONVERT)) <= 64


@pytest.mark.parametrize(
    ("steps", "share", "seconds"),
    [
        ({}, 0.5, None),
        ({0.1: 10}, 0.5, 0.0875),  # the middle of 0.075 to 0.1
        ({0.001: 90, 0.3: 10}, 0.95, 0.25),  # the middle of 0.2 to 0.3
        ({0.001: 50, 0.3: 50}, 0.5, 0.001),
        ({0.001: 100}, 0.99, 0.00099),
    ],
)
def test_percentiles_are_estimated_inside_a_step(
    steps: dict[float, int], share: float, seconds: float | None
) -> None:
    counts = [steps.get(bound, 0) for bound in BOUNDS] + [0]
    found = quantile(counts, share)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_what_takes_longer_than_all_steps_is_told_as_their_end() -> None:
    assert quantile([0] * (STEPS - 1) + [5], 0.5) == BOUNDS[-1]
