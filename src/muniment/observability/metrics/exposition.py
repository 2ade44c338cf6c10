"""The figures of several processes as one text, with the process as a label of each sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from muniment.observability.metrics.metrics import Metrics

UP = "muniment_process_up"
UP_TEXT = "Whether a process of this machine that runs told its metrics (1) or did not answer (0)."

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(msgspec.Struct, array_like=True, frozen=True):
    """A metric with its samples, written out."""

    name: str
    type: str
    documentation: str
    lines: bytes


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """What one process knew when it was asked."""

    process: str
    slot: str
    own: list[Family]
    """Samples carry `process` and `slot`."""
    shared: list[Family]
    """What every process says alike, so without these labels."""


def snapshot(metrics: Metrics, slot: str) -> Snapshot:
    """Write out the metrics of this process.

    Takes milliseconds where there are thousands of series, so call it in a thread.
    """
    own = {"process": metrics.role, "slot": slot}
    # Processes that this one started are told by it, so its place is theirs.
    started = {"slot": f"{metrics.role}-{slot}"}
    return Snapshot(
        metrics.role,
        slot,
        list(_families(metrics.registry, own, started)),
        list(_families(metrics.shared, {}, {})),
    )


def _families(
    registry: CollectorRegistry, own: dict[str, str], started: dict[str, str]
) -> Iterable[Family]:
    for metric in registry.collect():
        lines = []
        for sample in metric.samples:
            labels = {**(started if "process" in sample.labels else own), **sample.labels}
            value = floatToGoString(sample.value)  # type: ignore[no-untyped-call]
            lines.append(f"{sample.name}{_labels(labels)} {value}\n")
        yield Family(metric.name, metric.type, metric.documentation, "".join(lines).encode())


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    written = [f'{name}="{labels[name].translate(_ESCAPES)}"' for name in sorted(labels)]
    return "{" + ",".join(written) + "}"


def merged(
    snapshots: Sequence[Snapshot], unanswered: Iterable[tuple[str, str]], *, openmetrics: bool
) -> bytes:
    """Return one text of what several processes told, each metric described once.

    Args:
        snapshots: of the processes; what they share is taken from the first that tells it.
        unanswered: process and slot of those that run and did not answer.
        openmetrics: write OpenMetrics 1.0, else the Prometheus text format 0.0.4.
    """
    described: dict[str, Family] = {}
    lines: dict[str, list[bytes]] = {}
    shared: set[str] = set()
    for one in snapshots:
        for family in one.own:
            described.setdefault(family.name, family)
            lines.setdefault(family.name, []).append(family.lines)
        for family in one.shared:
            described.setdefault(family.name, family)
            if family.lines and family.name not in shared:
                shared.add(family.name)
                lines[family.name] = [family.lines]
    up = _up(snapshots, unanswered)
    described[up.name], lines[up.name] = up, [up.lines]
    written: list[bytes] = []
    for name, family in described.items():
        shown = f"{name}_total" if family.type == "counter" and not openmetrics else name
        text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
        if openmetrics:
            text = text.replace('"', r"\"")
        written.append(f"# HELP {shown} {text}\n# TYPE {shown} {family.type}\n".encode())
        written += lines.get(name, ())
    if openmetrics:
        written.append(b"# EOF\n")
    return b"".join(written)


def _up(snapshots: Sequence[Snapshot], unanswered: Iterable[tuple[str, str]]) -> Family:
    answers = {(one.process, one.slot): 1 for one in snapshots} | dict.fromkeys(unanswered, 0)
    lines = [
        f'{UP}{{process="{process}",slot="{slot}"}} {answer}.0\n'
        for (process, slot), answer in answers.items()
    ]
    return Family(UP, "gauge", UP_TEXT, "".join(lines).encode())
