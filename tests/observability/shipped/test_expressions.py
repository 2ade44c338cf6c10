"""The check of expressions finds what it is there to find."""

from __future__ import annotations

import pytest

from tests.observability.shipped.known_metrics import Known, known_metrics, labels_of

KNOWN: Known = {
    "a_total": frozenset({"route", "status"}),
    "b": frozenset({"route"}),
    "c_bucket": frozenset({"route", "le"}),
}


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("b", {"route"}),
        ('sum by (route) (rate(a_total{status="5xx"}[5m]))', {"route"}),
        ("sum(a_total)", set()),
        ("topk(3, b)", {"route"}),
        ("histogram_quantile(0.9, sum by (le, route) (rate(c_bucket[5m])))", {"route"}),
        ("sum without (status) (a_total) / on (route) b > 3", {"route"}),
        ("absent(b) == 1 and on () count(a_total) > 0", set()),
        ("time() - max by (route) (b)", {"route"}),
        ("b or vector(0)", {"route"}),
    ],
)
def test_labels_of_an_expression(expr: str, labels: set[str]) -> None:
    assert labels_of(expr, KNOWN) == labels


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("d", "no metric d"),
        ("a", "no metric a"),
        ('b{status="5xx"}', "b has no label status"),
        ("sum by (method) (b)", "are no labels"),
        ("sum by (route) (a_total) / b / sum by (status) (a_total)", "never match"),
        ("a_total / on (status) b", "both sides"),
        ("histogram_quantile(0.9, b)", "needs the label le"),
    ],
)
def test_finds_a_fault(expr: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        labels_of(expr, KNOWN)


def test_metrics_are_known_with_their_labels() -> None:
    known = known_metrics()
    assert {"route", "method", "status", "le", "process", "slot", "job"} <= known[
        "muniment_http_request_duration_seconds_bucket"
    ]
    assert known["muniment_objective_burn_rate"] == {"job", "instance", "objective", "window"}
    assert "muniment_cache_hits_total" in known
