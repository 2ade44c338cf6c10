"""Reconciliation: how right the matches are with no configuration, how sure, and how long it takes.

    python -m benchmarks.reconcile [SET ...] [--data ../shared/data] [--json] [--runs 1]

Every set of `linkage/` and `ledger/` is loaded from its files and matched with the defaults; the
matched pairs are compared with gold.csv through the identifier columns. Ledgers with a remittance
file are run with it as evidence and without. Below each line: for the confidences of each tenth,
how many pairs, the precision they promise and the precision they have, over matched and review
pairs; the calibration error is the mean of the difference over the pairs. Times are from opening
the files to the list of matches, the best of the runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from muniment.reconcile.columns import Dataset
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.match import Match, MatchStatus
from muniment.reconcile.matching.stages import find_matches

Ids = tuple[str, str]


@dataclass
class Tenth:
    """The pairs whose confidence lies in one tenth."""

    begins: float
    pairs: int
    expected: float
    observed: float


@dataclass
class Figures:
    """What came out for one set."""

    name: str
    precision: float
    recall: float
    f1: float
    matched: int
    gold: int
    review: int
    seconds: float
    calibration_error: float
    """Mean distance of the promised from the seen precision, tenths weighted by their pairs."""
    tenths: list[Tenth]


def main() -> None:
    """Measure the sets named, or all, and print a table or JSON."""
    arguments = _arguments()
    results = [
        measure(name, folder, evidence, arguments.runs)
        for name, folder, evidence in _sets(arguments.data)
        if not arguments.sets or any(wanted in name for wanted in arguments.sets)
    ]
    if arguments.json:
        print(json.dumps([asdict(one) for one in results]))
        return
    for one in results:
        print(
            f"{one.name:32} F1 {one.f1:.4f}  P {one.precision:.4f}  R {one.recall:.4f}  "
            f"matched {one.matched} of {one.gold}  review {one.review}  "
            f"calibration error {one.calibration_error:.4f}  {one.seconds:.2f} s"
        )
        for tenth in one.tenths:
            print(
                f"    {tenth.begins:.1f}-{tenth.begins + 0.1:.1f}  {tenth.pairs:6d} pairs  "
                f"expected {tenth.expected:.3f}  observed {tenth.observed:.3f}"
            )


def measure(name: str, folder: Path, evidence: Path | None, runs: int) -> Figures:
    """Match one set and compare with its gold pairs."""
    seconds = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        left, right = load(folder / "left.csv"), load(folder / "right.csv")
        claims = load(evidence) if evidence else None
        matches = list(find_matches(left, right, claims).matches)
        seconds = min(seconds, time.perf_counter() - begin)
    with (folder / "gold.csv").open(encoding="utf-8", newline="") as lines:
        gold = {(row["left_id"], row["right_id"]) for row in csv.DictReader(lines)}
    found = list(zip(_ids(left, right, matches), matches, strict=True))
    answer = {ids for ids, match in found if match.status is MatchStatus.MATCHED}
    right_ones = len(answer & gold)
    tenths = list(_tenths([(match.confidence, ids in gold) for ids, match in found]))
    off = sum(tenth.pairs * abs(tenth.expected - tenth.observed) for tenth in tenths)
    return Figures(
        name,
        precision=right_ones / max(len(answer), 1),
        recall=right_ones / max(len(gold), 1),
        f1=2 * right_ones / max(len(answer) + len(gold), 1),
        matched=len(answer),
        gold=len(gold),
        review=sum(match.status is MatchStatus.REVIEW for match in matches),
        seconds=seconds,
        calibration_error=off / max(len(found), 1),
        tenths=tenths,
    )


def _tenths(judged: list[tuple[float, bool]]) -> Iterator[Tenth]:
    for tenth in range(10):
        inside = [(p, ok) for p, ok in judged if min(int(p * 10), 9) == tenth]
        if inside:
            yield Tenth(
                tenth / 10,
                len(inside),
                sum(p for p, _ in inside) / len(inside),
                sum(ok for _, ok in inside) / len(inside),
            )


def _ids(left: Dataset, right: Dataset, matches: list[Match]) -> list[Ids]:
    """Return the values of the identifier columns of each match, as they stood in the files."""
    sides = []
    for dataset, rows in (
        (left, [match.left_row for match in matches]),
        (right, [match.right_row for match in matches]),
    ):
        column = dataset.identifier()
        # The sets' first column is their identifier, also where inference found another.
        name = "id" if any(c.name == "id" for c in dataset.columns) else getattr(column, "name", "")
        wanted = sorted(set(rows))
        cells = [str(record[name]) for record in dataset.original_values([name], wanted)]
        by_row = dict(zip(wanted, cells, strict=True))
        sides.append([by_row[row] for row in rows])
    return list(zip(*sides, strict=True))


def _sets(data: Path) -> Iterator[tuple[str, Path, Path | None]]:
    for kind in ("linkage", "ledger"):
        for folder in sorted((data / kind).iterdir()):
            if not (folder / "gold.csv").exists():
                continue
            remittance = folder / "remittance.csv"
            if remittance.exists():
                yield f"{folder.name} with evidence", folder, remittance
            yield folder.name, folder, None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sets", nargs="*", help="parts of the names of the sets to measure")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
