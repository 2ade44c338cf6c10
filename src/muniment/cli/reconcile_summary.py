"""The summary of a reconciliation as people read it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from muniment.cli.runtime import console
from muniment.reconcile.results.summary import (
    CurrencySum,
    ShownMatch,
    SideSummary,
    Summary,
    WrittenFile,
)

_UNTOLD = frozenset({"free_text", "category", "number"})
"""Roles that are not worth a line: they are compared, and say little of what the table is."""

_USUAL = frozenset({"encoding utf-8", "delimiter ,", "JSON lines", "Parquet", "query"})
"""Notes of the loader that are as anybody would expect."""

_LONGEST = 160
_WHAT = {
    "matches": "pairs, matched and for review",
    "review": "pairs to look at, with both records side by side",
    "unmatched": "records without a match",
}


def print_summary(summary: Summary) -> None:
    """Print what was compared, what was found, and where it is."""
    _say(_heading(summary))
    console.print(_records(summary))
    money = list(_money(summary))
    if money:
        console.print(_sums(money))
    _say(_pairs(summary))
    if summary.compared:
        said = ", ".join(
            (f"{pair.left}" if pair.left == pair.right else f"{pair.left} with {pair.right}")
            + f" ({pair.role.replace('_', ' ')})"
            for pair in summary.compared
        )
        _say(f"[bold]Compared:[/] {escape(said)}")
    for dataset in (summary.left, summary.right, summary.evidence):
        if dataset is not None:
            read = ", ".join(note for note in dataset.notes if note not in _USUAL)
            told = f" ({escape(read)})" if read else ""
            _say(f"[bold]Columns of {escape(dataset.name)}[/]{told}: {escape(_columns(dataset))}")
    for note in summary.notes:
        _say(f"[bold]Note:[/] {escape(note)}")
    if summary.first:
        _say("[bold]The surest of each stage:[/]")
    for match in summary.first:
        _say(f"  {escape(_match(match))}")
    for file in summary.files:
        _say(_file(file, duplicates=summary.right is None))


def _say(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _heading(summary: Summary) -> str:
    files = escape(summary.left.name)
    if summary.right is not None:
        files += f" with {escape(summary.right.name)}"
    if summary.evidence is not None:
        files += f", evidence in {escape(summary.evidence.name)}"
    what = {
        "ledger": "movements of money",
        "linkage": "records of two tables",
        "duplicates": "duplicates in one table",
    }.get(summary.kind, summary.kind)
    return f"[bold]{files}[/]: {what}, {summary.seconds:.1f} s"


def _records(summary: Summary) -> Table:
    alone = summary.right is None
    headers = ["all", "matched", "for review"]
    # In one table nothing cancels anything: that is of ledgers.
    headers += ["without duplicates"] if alone else ["cancelled", "unmatched"]
    table = Table(
        "records",
        *(Column(name, justify="right") for name in headers),
        box=None,
        pad_edge=False,
    )
    for side in (summary.left, summary.right):
        if side is not None:
            rest = [side.unmatched] if alone else [side.offset, side.unmatched]
            table.add_row(
                escape(side.name),
                f"{side.rows:,}",
                f"{side.matched:,} ({side.matched / max(side.rows, 1):.0%})",
                f"{side.review:,}",
                *(f"{count:,}" for count in rest),
            )
    return table


def _money(summary: Summary) -> Iterator[tuple[str, CurrencySum]]:
    for side in (summary.left, summary.right):
        if side is not None:
            for each in side.sums:
                yield side.name, each


def _sums(money: list[tuple[str, CurrencySum]]) -> Table:
    headers = ("matched", "settled", "for review", "cancelled", "unmatched")
    table = Table(
        "sums",
        "currency",
        *(Column(name, justify="right") for name in headers),
        box=None,
        pad_edge=False,
    )
    for name, each in money:
        amounts = (each.matched, each.settled, each.review, each.offset, each.unmatched)
        table.add_row(
            escape(name),
            escape(each.currency or "–"),
            *("" if amount is None else f"{amount:,}" for amount in amounts),
        )
    return table


def _pairs(summary: Summary) -> str:
    stages = ", ".join(
        f"{stage.stage.replace('_', ' ')} {stage.matched:,}"
        + (f" (+{stage.review:,} for review)" if stage.review else "")
        for stage in summary.stages
    )
    found = f"[bold]Pairs:[/] {summary.matched:,} matched, {summary.review:,} for review"
    if summary.clusters is not None:
        found += f", {summary.clusters:,} groups of duplicates"
    if stages:
        found += f"; by stage: {escape(stages)}"
    return f"{found}. Matched is what has a confidence of {_share(summary.threshold)} or more."


def _share(value: float) -> str:
    """Return a probability with two digits; more where two would make a certainty of it."""
    return f"{value:.2f}" if value < 0.995 else f"{math.floor(value * 1e6) / 1e6:g}"


def _columns(dataset: SideSummary) -> str:
    told = []
    for column in dataset.columns:
        if column.role in _UNTOLD:
            continue
        role = column.role.replace("_", " ")
        if column.name == dataset.identifier:
            role += ", names the records"
        odd = f", {column.odd:,} odd values left out" if column.odd else ""
        told.append(f"{column.name} ({role}{odd})")
    others = len(dataset.columns) - len(told)
    if others:
        told.append(f"{others} other{'s' * (others > 1)}")
    if dataset.identifier is None:
        told.append("none names the records: only their rows are given")
    return ", ".join(told)


def _match(match: ShownMatch) -> str:
    left = match.left_id or f"row {match.left_row}"
    right = match.right_id or f"row {match.right_row}"
    why = match.explanation
    if len(why) > _LONGEST:
        why = why[: _LONGEST - 1] + "…"
    stage = match.stage.replace("_", " ")
    return f"{left} – {right}  {match.confidence:.3f} {stage}: {why}"


def _file(file: WrittenFile, *, duplicates: bool) -> str:
    what = _WHAT[file.what]
    if file.what == "matches" and duplicates:
        what += ", with the group of each"
    replaced = ", replaced" if file.replaced else ""
    return f"[green]{escape(file.path)}[/]: {file.rows:,} {what}{replaced}"


def print_plan(plan: dict[str, Any]) -> None:
    """Print what would be compared, rule by rule, and what that costs; see `estimate.Plan`."""
    left, right = plan["left_records"], plan["right_records"]
    records = f"{left:,} records" if right is None else f"{left:,} and {right:,} records"
    _say(
        f"{records}: {plan['pairs']:,} pairs would be compared of {plan['possible_pairs']:,} that "
        f"there are, in about {plan['seconds']:,.0f} s with {plan['memory_mb']:,} MB."
    )
    table = Table("rule", Column("pairs", justify="right"), "columns", box=None, pad_edge=False)
    for rule in plan["rules"]:
        pairs = zip(rule["left"], rule["right"], strict=True)
        columns = ", ".join(one if one == other else f"{one} = {other}" for one, other in pairs)
        table.add_row(rule["kind"].replace("_", " "), f"{rule['pairs']:,}", escape(columns))
    console.print(table)
    compared = ", ".join(
        (one if one == other else f"{one} with {other}") + f" ({how})"
        for one, other, how in plan["compared"]
    )
    _say(f"[bold]Compared:[/] {escape(compared)}")
    for note in plan.get("notes", ()):
        _say(f"[bold]Note:[/] {escape(note)}")
