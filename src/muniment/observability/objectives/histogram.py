"""Counts by time taken, in fixed steps, and the percentiles that they allow to estimate."""

from __future__ import annotations

from collections.abc import Sequence

BOUNDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
"""Upper bounds of the steps in seconds, each included; a last step holds what took longer.

They are part of the table's contents: to change them is a migration.
"""
STEPS = len(BOUNDS) + 1


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Estimate the time in seconds within which a share of the counted ones ended.

    Inside a step they are taken to be spread evenly, as `histogram_quantile` of Prometheus does;
    what lies in the last step is told as its lower bound. None without counts.
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted = share * total
    below = 0
    for step, count in enumerate(counts):
        if below + count >= wanted and count:
            if step == len(BOUNDS):
                return BOUNDS[-1]
            lower = BOUNDS[step - 1] if step else 0.0
            return lower + (BOUNDS[step] - lower) * max(0.0, wanted - below) / count
        below += count
    return BOUNDS[-1]
