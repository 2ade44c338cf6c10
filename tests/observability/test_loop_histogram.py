"""The histogram of the event loop counts as the library's does."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from muniment.observability.metrics.histogram import LoopHistogram

BUCKETS = (0.001, 0.5, 1.0, 250.0)


def told(registry: CollectorRegistry) -> set[tuple[str, Any, float]]:
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in registry.collect()
        for sample in family.samples
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", 'b"']),
            st.one_of(st.floats(0, 1000), st.sampled_from([0.0, *BUCKETS])),
        )
    )
)
def test_it_tells_what_the_library_would(values: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    one = LoopHistogram("x", "X.", ["y"], buckets=BUCKETS, registry=ours)
    other = Histogram("x", "X.", ["y"], buckets=BUCKETS, registry=theirs)
    for label, value in values:
        one.labels(label).observe(value)
        other.labels(label).observe(value)
    assert told(ours) == told(theirs)
