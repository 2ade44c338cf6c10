"""`muniment jobs stats`, `timeseries`, `lanes`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated

import typer
from rich.table import Column, Table

from muniment.cli.either import answer, operator_answer
from muniment.cli.jobs import Json, Kind, Organization
from muniment.cli.runtime import console, one_sentence_errors, print_json, print_whole
from muniment.db import UnitOfWork
from muniment.jobs.control.lanes import list_lanes, pause_lane, resume_lane
from muniment.jobs.control.schemas import (
    Figures,
    JobStatistics,
    JobTimeseries,
    Lanes,
    LaneState,
)
from muniment.jobs.control.spans import parse_span
from muniment.jobs.control.statistics import job_statistics, job_timeseries
from muniment.jobs.task import Lane

_OPERATOR = "operator:cli"
_BARS = "▁▂▃▄▅▆▇█"

Window = Annotated[str, typer.Option(help="How far back, at most 90 days, like 15m, 24h or 7d.")]
OfLane = Annotated[Lane | None, typer.Option("--lane", help="Only jobs of this lane.")]
Which = Annotated[Lane, typer.Argument(help="The lane.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to the group `jobs`."""
    for command in (stats, timeseries, lanes, pause, resume):
        commands.command()(command)


def stats(
    *,
    window: Window = "24h",
    kind: Kind = None,
    lane: OfLane = None,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Show how many jobs ended, how many failed, and how long they took and waited."""

    async def here(work: UnitOfWork, _secret: bytes) -> JobStatistics:
        return await job_statistics(work, parse_span(window), kind=kind, lane=lane)

    parameters = _given(window=window, kind=kind, lane=lane)
    with one_sentence_errors():
        found = answer(
            JobStatistics, organization, here, "GET", "/v1/jobs/stats", params=parameters
        )
    if json:
        print_json(found)
        return
    names = ("ended", "failed", "per min", "mean s", "p50", "p95", "p99", "max", "waited max")
    table = Table(
        "kind",
        *(Column(name, justify="right") for name in (*names, "wait", "run")),
        title=f"Jobs of the last {window}",
    )
    for each in found.kinds:
        table.add_row(each.kind, *_row(each))
    table.add_row("all", *_row(found.overall), style="bold")
    print_whole(table)


def timeseries(
    *,
    window: Window = "24h",
    bucket: Annotated[str, typer.Option(help="Length of a bucket, like 5m or 1h.")] = "1h",
    kind: Kind = None,
    lane: OfLane = None,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Show how many jobs came and ended over time, and how long they took."""

    async def here(work: UnitOfWork, _secret: bytes) -> JobTimeseries:
        spans = parse_span(window), parse_span(bucket, "bucket")
        return await job_timeseries(work, *spans, kind=kind, lane=lane)

    parameters = _given(window=window, bucket=bucket, kind=kind, lane=lane)
    with one_sentence_errors():
        found = answer(
            JobTimeseries, organization, here, "GET", "/v1/jobs/timeseries", params=parameters
        )
    if json:
        print_json(found)
        return
    first, last = found.buckets[0].at, found.buckets[-1].at
    console.print(f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, {bucket} a bar")
    for name in ("enqueued", "succeeded", "failed", "cancelled", "mean_seconds", "p95_seconds"):
        values = [getattr(each, name) for each in found.buckets]
        most = max((value for value in values if value is not None), default=0)
        console.print(
            f"{name:12}  {_sparkline(values)}  at most {most:,.6g}",
            highlight=False,
            soft_wrap=True,
        )


def lanes(json: Json = False) -> None:
    """Show what waits and runs in each lane of the installation, and who serves it.

    At MUNIMENT_URL this, `pause` and `resume` need an operator's key.
    """

    async def here(work: UnitOfWork) -> Lanes:
        return Lanes(await list_lanes(work))

    with one_sentence_errors():
        found = operator_answer(Lanes, here, "GET", "/v1/admin/lanes")
    if json:
        print_json(found.items)
    else:
        print_whole(_lane_table(found.items))


def pause(lane: Which, json: Json = False) -> None:
    """Let a lane start nothing more; what runs finishes, and what comes waits."""

    async def here(work: UnitOfWork) -> LaneState:
        return await pause_lane(work, lane, _OPERATOR)

    with one_sentence_errors():
        state = operator_answer(LaneState, here, "POST", f"/v1/admin/lanes/{lane}/pause")
    _show_lane(state, json=json)


def resume(lane: Which, json: Json = False) -> None:
    """Let a paused lane start jobs again."""

    async def here(work: UnitOfWork) -> LaneState:
        return await resume_lane(work, lane, _OPERATOR)

    with one_sentence_errors():
        state = operator_answer(LaneState, here, "POST", f"/v1/admin/lanes/{lane}/resume")
    _show_lane(state, json=json)


def _show_lane(state: LaneState, *, json: bool) -> None:
    if json:
        print_json(state)
    else:
        print_whole(_lane_table([state]))


def _lane_table(states: Sequence[LaneState]) -> Table:
    names = ("waiting", "delayed", "running", "oldest s", "workers")
    table = Table("lane", *(Column(name, justify="right") for name in names), "paused")
    for each in states:
        paused = f"{each.paused_at:%Y-%m-%d %H:%M} by {each.paused_by}" if each.paused_at else ""
        counts = (each.waiting, each.delayed, each.running)
        oldest = _figure(each.oldest_seconds)
        table.add_row(each.lane, *map(str, counts), oldest, str(each.workers), paused)
    return table


def _row(figures: Figures) -> list[str]:
    took = figures.duration
    rate = "" if figures.failure_rate is None else f" ({figures.failure_rate:.1%})"
    return [
        f"{figures.succeeded + figures.failed + figures.cancelled:,}",
        f"{figures.failed:,}{rate}",
        f"{figures.per_minute:,.1f}",
        *(_figure(value) for value in (took.mean, took.p50, took.p95, took.p99, took.max)),
        _figure(figures.waiting.max),
        f"{figures.queued:,}",
        f"{figures.running:,}",
    ]


def _figure(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.3g}" if seconds < 100 else f"{seconds:,.0f}"


def _sparkline(values: Sequence[float | None]) -> str:
    """One bar for each value, the highest for the largest; a blank where there is none."""
    most = max((value for value in values if value is not None), default=0)
    if not most:
        return "".join(" " if value is None else _BARS[0] for value in values)
    top = len(_BARS) - 1
    return "".join(" " if value is None else _BARS[ceil(value / most * top)] for value in values)


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}
