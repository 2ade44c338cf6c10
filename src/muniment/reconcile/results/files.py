"""Files in, files out: load, match, and write what was found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from msgspec import structs, to_builtins

from muniment.errors import MunimentError
from muniment.processes.reporter import Reporter
from muniment.reconcile.columns import Dataset
from muniment.reconcile.exports.explanation import explain
from muniment.reconcile.exports.matches_file import write_matches_csv
from muniment.reconcile.exports.rows import MatchRow
from muniment.reconcile.loading.load import load
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.query import QueryLimits, load_query
from muniment.reconcile.matching.linkage.estimate import estimate
from muniment.reconcile.matching.match import Match, MatchStatus
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.stages import are_ledgers, find_matches
from muniment.reconcile.pairing import pair_columns
from muniment.reconcile.results.given import FileGiven, FilesGiven
from muniment.reconcile.results.originals import Identifiers
from muniment.reconcile.results.review_file import ReviewFile, write_unmatched
from muniment.reconcile.results.summary import (
    ColumnTaken,
    ComparedColumnPair,
    CurrencySum,
    ShownMatch,
    SideSummary,
    Summary,
    WrittenFile,
)
from muniment.reconcile.results.tally import States, Tally, counts, sums

SHARES: Final = 1_000
"""What a whole run is of, as it is reported."""
_LOADED: Final = 0.3
_MATCHED: Final = 0.9
"""Shares of the work after which the files are loaded, and the matches found."""

_BLOCK: Final = 2_000

_LEDGERS: Final = (
    "Both tables are movements of money: amounts, days and references choose the pairs instead, "
    "and sums of several are sought within the bounds of the rules."
)


def reconcile_files(given: FilesGiven, report: Reporter) -> Summary:
    """Load the files, find matches, write the result files and return the summary.

    Raises:
        MunimentError: a file cannot be read, which the error names; nothing can be compared.
    """
    begun = time.monotonic()
    datasets = load_files(given, report)
    left, right = datasets["left"], datasets.get("right")

    def tell(step: str, share: float) -> None:
        report(_permille(_LOADED + share * (_MATCHED - _LOADED)), SHARES, step)

    outcome = find_matches(left, right, datasets.get("evidence"), rules=given.rules, progress=tell)
    if right is not None and not outcome.compared:
        # Either no two values meet, which is a result, or no two columns can: that is an error.
        pair_columns(left, right)
    report(_permille(_MATCHED), SHARES, "writing")
    summary = write_results(left, right, outcome, given.folder)
    evidence = datasets.get("evidence")
    return structs.replace(
        summary,
        evidence=None if evidence is None else _side(evidence),
        seconds=round(time.monotonic() - begun, 2),
    )


def plan_files(given: FilesGiven, report: Reporter) -> dict[str, Any]:
    """Load the files and return what would be compared and what that costs, as JSON has it.

    Raises:
        MunimentError: as `reconcile_files`.
    """
    datasets = load_files(given, report)
    report(_permille(_LOADED), SHARES, "estimating")
    left, right = datasets["left"], datasets.get("right")
    plan: dict[str, Any] = to_builtins(estimate(left, right, given.rules))
    if right is not None and are_ledgers(left, right, datasets.get("evidence")):
        plan["notes"] = [_LEDGERS]
    return plan


def load_files(given: FilesGiven, report: Reporter) -> Mapping[str, Dataset]:
    """Return the datasets of the files by side."""
    files = {"left": given.left, "right": given.right, "evidence": given.evidence}
    wanted = {side: file for side, file in files.items() if file is not None}
    loaded = {}
    for number, (side, file) in enumerate(wanted.items()):
        report(_permille(_LOADED * number / len(wanted)), SHARES, f"reading {file.path.name}")
        loaded[side] = _load(file, given.folder / side, given.max_bytes)
    return loaded


def _load(file: FileGiven, folder: Path, max_bytes: int) -> Dataset:
    options = LoadOptions(
        delimiter=file.delimiter,
        encoding=file.encoding,
        sheet=file.sheet,
        overrides=file.overrides,
        max_bytes=max_bytes,
    )
    try:
        if file.database is None:
            content = file.content or file.path
            return load(content, name=file.path.stem, folder=folder, options=options)
        rows = folder.with_suffix(".parquet")
        query = file.path.read_text(encoding="utf-8")
        asyncio.run(load_query(file.database, query, rows, QueryLimits(bytes=max_bytes)))
        return load(rows, name=file.path.stem, folder=folder, options=options)
    except MunimentError as error:
        # Rooms know rows and columns; which of several files it was, only we know.
        raise type(error)(f"{file.path}: {error.detail}") from error


def write_results(left: Dataset, right: Dataset | None, outcome: Outcome, folder: Path) -> Summary:
    """Write matches, review and unmatched as CSV, in one walk through the matches."""
    tally = Tally(left, right, outcome)
    mine = Identifiers(left)
    theirs = mine if right is None else Identifiers(right)
    other = left if right is None else right
    first: dict[str, ShownMatch] = {}
    with ExitStack() as opened:
        matches_file = opened.enter_context(_created(folder / "matches.csv"))
        review = ReviewFile(
            opened.enter_context(_created(folder / "review.csv")), (left, mine), (other, theirs)
        )

        def rows() -> Iterator[MatchRow]:
            for match, row in _rows(tally.counted(outcome.matches), mine, theirs, outcome.clusters):
                if match.status is MatchStatus.REVIEW:
                    review.add(row, match)
                elif match.stage not in first:
                    first[match.stage] = _shown(row)
                yield row

        count = write_matches_csv(rows(), matches_file, clusters=right is None)
        review.flush()
    files = [
        WrittenFile("matches", "matches.csv", count),
        WrittenFile("review", "review.csv", review.rows),
    ]
    ours_sum: list[CurrencySum] = []
    theirs_sum: list[CurrencySum] = []
    if right is not None:
        sides = [("left", left, mine, tally.left), ("right", right, theirs, tally.right)]
        with _created(folder / "unmatched.csv") as file:
            unmatched = write_unmatched(file, sides, outcome.offsets)
        files.append(WrittenFile("unmatched", "unmatched.csv", unmatched))
        ours_sum, theirs_sum = sums(left, right, outcome, tally)
    return Summary(
        kind=outcome.kind,
        left=_side(left, tally.left, ours_sum),
        right=None if right is None else _side(right, tally.right, theirs_sum),
        evidence=None,
        matched=tally.pairs(MatchStatus.MATCHED),
        review=tally.pairs(MatchStatus.REVIEW),
        threshold=outcome.threshold,
        stages=tally.stages(),
        compared=[ComparedColumnPair(*pair) for pair in outcome.compared],
        clusters=len(set(outcome.clusters.values())) if right is None else None,
        notes=outcome.notes,
        first=[first[stage.stage] for stage in tally.stages() if stage.stage in first],
        files=files,
    )


def _rows(
    matches: Iterable[Match], left: Identifiers, right: Identifiers, clusters: Mapping[int, int]
) -> Iterator[tuple[Match, MatchRow]]:
    """Yield matches as lines of the file; identifiers are looked up many at a time."""
    source = iter(matches)
    while block := list(islice(source, _BLOCK)):
        mine = left.of([match.left_row for match in block])
        theirs = right.of([match.right_row for match in block])
        for match, one, other in zip(block, mine, theirs, strict=True):
            cluster = clusters.get(match.left_row)
            together = cluster is not None and cluster == clusters.get(match.right_row)
            yield (
                match,
                MatchRow(
                    match.left_row,
                    match.right_row,
                    one,
                    other,
                    match.amount,
                    match.confidence,
                    match.status.value,
                    match.stage,
                    explain(match.explanation),
                    cluster if together else None,
                ),
            )


def _shown(row: MatchRow) -> ShownMatch:
    return ShownMatch(
        row.left_row,
        row.right_row,
        row.left_id,
        row.right_id,
        row.confidence,
        row.stage,
        row.explanation,
    )


def _side(
    dataset: Dataset, states: States | None = None, money: list[CurrencySum] | None = None
) -> SideSummary:
    identifier = dataset.identifier()
    found = {} if states is None else counts(states)
    return SideSummary(
        dataset.name,
        dataset.rows,
        None if identifier is None else identifier.name,
        [
            ColumnTaken(c.name, c.role.value, c.type.value, c.certainty, c.odd)
            for c in dataset.columns
        ],
        list(dataset.notes),
        sums=money or [],
        **found,
    )


def _created(path: Path) -> TextIO:
    return path.open("x", encoding="utf-8", newline="")


def _permille(share: float) -> int:
    return round(SHARES * share)
