"""Which metrics there are, with which labels, and what a PromQL expression makes of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import promql_parser as promql
from prometheus_client import CollectorRegistry

from muniment.app import create_app
from muniment.observability.metrics import Metrics
from muniment.observability.metrics.histogram import LoopHistogram
from muniment.settings import Settings

OF_PROMETHEUS = frozenset({"job", "instance"})
"""Labels that a scrape adds."""
OF_PROCESSES = frozenset({"process", "slot"})
"""Labels of what is true of one process, see `observability.metrics.exposition`."""
_KEEPING = {"topk", "bottomk", "limitk"}
_SETS = {"and", "or", "unless"}

Labels = frozenset[str]
Known = dict[str, Labels]


@cache
def known_metrics() -> Known:
    """Return the labels of each series that a scrape of API and workers may hold, by its name."""
    found: Known = {
        "up": OF_PROMETHEUS,
        "muniment_process_up": OF_PROMETHEUS | OF_PROCESSES,
    }
    for metrics in (create_app(Settings()).metrics, Metrics("worker")):
        for registry, more in ((metrics.registry, OF_PROCESSES), (metrics.shared, frozenset())):
            for name, labels in _registered(registry):
                found[name] = found.get(name, frozenset()) | labels | OF_PROMETHEUS | more
    return found


def _registered(registry: CollectorRegistry) -> list[tuple[str, Labels]]:
    found: list[tuple[str, Labels]] = []
    for collector in list(registry._collector_to_names):
        if hasattr(collector, "_labelnames"):
            labels = frozenset(collector._labelnames)
            for metric in collector.describe():  # type: ignore[attr-defined]
                found += _exposed(metric.name, metric.type, labels)
            continue
        for metric in collector.collect():
            own = set(getattr(metric, "_labelnames", ()) or ())
            if isinstance(collector, LoopHistogram):
                own |= set(collector._labels)
            for sample in metric.samples:
                own |= sample.labels.keys()
            found += _exposed(metric.name, metric.type, frozenset(own))
    return found


def _exposed(name: str, kind: str, labels: Labels) -> list[tuple[str, Labels]]:
    if kind == "counter":
        return [(f"{name}_total", labels)]
    if kind == "histogram":
        return [
            (f"{name}_bucket", labels | {"le"}),
            (f"{name}_count", labels),
            (f"{name}_sum", labels),
        ]
    return [(name, labels)]


def labels_of(expr: str, known: Known) -> Labels:
    """Return the labels of what an expression gives.

    Raises:
        ValueError: it is no PromQL.
        AssertionError: it names a metric that there is not, or a label that it has not.
    """
    return _labels(promql.parse(expr), known)


def _labels(node: Any, known: Known) -> Labels:
    match type(node).__name__:
        case "VectorSelector":
            return _selected(node, known)
        case "MatrixSelector":
            return _selected(node.vector_selector, known)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            return _labels(node.expr, known)
        case "AggregateExpr":
            return _aggregated(node, known)
        case "BinaryExpr":
            return _combined(node, known)
        case "Call":
            return _called(node, known)
        case "NumberLiteral" | "StringLiteral":
            return frozenset()
    raise AssertionError(f"{type(node).__name__} is not understood here")


def _selected(node: Any, known: Known) -> Labels:
    assert node.name in known, f"there is no metric {node.name}"
    for matcher in node.matchers.matchers:
        assert matcher.name in known[node.name], f"{node.name} has no label {matcher.name}"
    return known[node.name]


def _aggregated(node: Any, known: Known) -> Labels:
    inner = _labels(node.expr, known)
    if node.modifier is None:
        return inner if str(node.op) in _KEEPING else frozenset()
    named = frozenset(node.modifier.labels)
    assert named <= inner, f"{sorted(named - inner)} are no labels of {node.expr.prettify()}"
    if node.modifier.type == promql.AggModifierType.Without:
        return inner - named
    return inner if str(node.op) in _KEEPING else named


def _combined(node: Any, known: Known) -> Labels:
    left, right = _labels(node.lhs, known), _labels(node.rhs, known)
    matching = node.modifier.matching if node.modifier is not None else None
    if matching is not None:
        named = frozenset(matching.labels)
        assert named <= left & right, f"{sorted(named)} must be on both sides"
    elif _is_series(node.lhs) and _is_series(node.rhs) and str(node.op) != "or":
        assert left == right, f"{sorted(left)} never match {sorted(right)}: {node.prettify()}"
    if str(node.op) == "or":
        return left | right
    return left if str(node.op) in _SETS or _is_series(node.lhs) else right


def _is_series(node: Any) -> bool:
    name = type(node).__name__
    if name == "ParenExpr":
        return _is_series(node.expr)
    if name == "BinaryExpr":
        return _is_series(node.lhs) or _is_series(node.rhs)
    return name != "NumberLiteral" and not (name == "Call" and node.func.name in {"time", "scalar"})


def _called(node: Any, known: Known) -> Labels:
    inner = frozenset[str]().union(*(_labels(argument, known) for argument in node.args))
    match node.func.name:
        case "histogram_quantile":
            assert "le" in inner, f"a quantile needs the label le: {node.prettify()}"
            return inner - {"le"}
        case "absent" | "vector" | "time" | "scalar":
            return frozenset()
    return inner
