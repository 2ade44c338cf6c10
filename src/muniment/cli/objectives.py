"""`muniment objectives`: how far the promises of the installation are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Column, Table

from muniment.cli.remote import call
from muniment.cli.runtime import (
    console,
    notes,
    one_sentence_errors,
    open_database,
    print_json,
    print_whole,
    run,
)
from muniment.db.installation import ready_installation
from muniment.observability.objectives.report import report
from muniment.observability.objectives.schemas import ObjectiveList, ObjectiveReport
from muniment.observability.shipping import write_shipped
from muniment.settings import Settings, load_settings

_COLORS = {"ok": "green", "burning": "yellow", "exhausted": "red", "no_data": "dim"}


def objectives(
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON list.")] = False,
) -> None:
    """Show the objectives: attainment, error budget and how fast it burns.

    With MUNIMENT_URL those of the remote Muniment, for which MUNIMENT_API_KEY must be an
    operator's key.
    """
    with one_sentence_errors():
        settings = load_settings()
        if settings.url is None:
            found = run(_here(settings))
        else:
            answer = call(settings, "GET", "/v1/objectives")
            found = msgspec.convert(answer, ObjectiveList).items
    if json:
        print_json(found)
    else:
        print_whole(_table(found))


async def _here(settings: Settings) -> list[ObjectiveReport]:
    with ready_installation(settings) as target:
        async with open_database(target, settings) as database, database.operator() as work:
            return await report(work, settings.objectives)


def _table(found: list[ObjectiveReport]) -> Table:
    numbers = ("Attained", "Total", "Bad", "Budget left", "1h", "6h", "3d", "p95 ≈")
    table = Table(
        *(Column(name, no_wrap=True) for name in ("Objective", "State", "Target")),
        *(Column(name, no_wrap=True, justify="right") for name in numbers),
        box=None,
    )
    for each in found:
        rates = {burn.window: burn.rate for burn in each.burn}
        color = _COLORS[each.state]
        table.add_row(
            each.name,
            f"[{color}]{each.state.replace('_', ' ')}[/]",
            _promise(each),
            _percent(each.attainment),
            f"{each.total:,}",
            f"{each.total - each.good:,}",
            _percent(each.budget.remaining),
            *(_rate(rates[window]) for window in ("1h", "6h", "3d")),
            _time(each.percentiles.p95_ms),
        )
    return table


def _promise(each: ObjectiveReport) -> str:
    within = "without failure" if each.within_ms is None else f"within {_time(each.within_ms)}"
    return f"{each.share * 100:g} % {within}, {each.days} days"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.2f} %"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.3g} s" if seconds < 300 else f"{seconds / 60:.3g} min"


def write_dashboards(
    to: Annotated[Path, typer.Option(help="Folder to write below.")] = Path("muniment-monitoring"),
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON list.")] = False,
) -> None:
    """Write the Grafana dashboards and Prometheus rules that come with this version."""
    with one_sentence_errors():
        written = write_shipped(to)
    if json:
        print_json([str(path) for path in written])
        return
    for path in written:
        console.print(str(path), highlight=False, markup=False, soft_wrap=True)
    notes.print(
        "Import the dashboards into Grafana, and name the rules in `rule_files` of Prometheus.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def register(admin: typer.Typer) -> None:
    """Add the command to the group `admin`."""
    admin.command("dashboards")(write_dashboards)
