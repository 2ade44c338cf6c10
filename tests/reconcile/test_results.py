"""What is told of a reconciliation of files: sums, states of records, pairs of clusters."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

from muniment.reconcile.columns import Dataset, Override, Role
from muniment.reconcile.loading.load import load
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.matching.implied import LARGEST, Completed
from muniment.reconcile.matching.match import Alternative, FieldEvidence, Match, MatchStatus
from muniment.reconcile.matching.outcome import Offset, Outcome
from muniment.reconcile.results.files import write_results
from muniment.reconcile.results.originals import Identifiers
from muniment.reconcile.results.review_file import write_unmatched
from muniment.reconcile.results.summary import CurrencySum
from muniment.reconcile.results.tally import Tally

M, R = MatchStatus.MATCHED, MatchStatus.REVIEW


def ledger(path: Path, lines: str) -> Dataset:
    path.write_text(f"entry,day,amount,currency\n{lines}")
    roles = {"entry": Role.identifier, "amount": Role.amount, "currency": Role.currency}
    overrides = {name: Override(role=role) for name, role in roles.items()}
    return load(path, folder=path.with_suffix(""), options=LoadOptions(overrides=overrides))


def two_ledgers(folder: Path) -> tuple[Dataset, Dataset]:
    left = ledger(
        folder / "left.csv",
        "A1,2026-01-02,100.10,EUR\nA2,2026-01-03,250.00,EUR\nA3,2026-01-04,75.25,USD\n"
        "A4,2026-01-05,60.00,USD\nA5,2026-01-06,-60.00,USD\n",
    )
    right = ledger(
        folder / "right.csv",
        "B1,2026-01-02,100.10,EUR\nB2,2026-01-03,150.00,EUR\nB3,2026-01-03,120.00,EUR\n"
        "B4,2026-01-04,75.20,USD\n",
    )
    return left, right


def outcome() -> Outcome:
    said = [FieldEvidence("amount", "amount", "100.10", "100.10", 1.0, 8.0)]
    return Outcome(
        "ledger",
        [
            Match(1, 1, 0.99, M, "exact", Decimal("100.10"), said),
            Match(2, 2, 0.9, M, "grouped", Decimal("150.00"), said),
            Match(2, 3, 0.9, M, "grouped", Decimal("100.00"), said),
            Match(3, 4, 0.3, R, "tolerance", Decimal("75.20"), said, [Alternative(3, 2, 0.1)]),
        ],
        offsets=[Offset("left", 4, 5, 0.95)],
        compared=[("amount", "amount", "amount")],
    )


def test_sums_add_up_to_the_cent_by_currency_and_state(tmp_path: Path) -> None:
    summary = write_results(*two_ledgers(tmp_path), outcome(), tmp_path)
    zero = Decimal("0.00")
    assert summary.right is not None
    assert summary.left.sums == [
        CurrencySum("EUR", Decimal("350.10"), zero, Decimal("350.10"), zero, zero),
        CurrencySum("USD", zero, zero, zero, Decimal("75.25"), zero),
    ]
    # Of an invoice of 120.00 only 100.00 were paid.
    euros, dollars = summary.right.sums
    assert (euros.matched, euros.settled) == (Decimal("370.10"), Decimal("350.10"))
    assert dollars.review == Decimal("75.20")
    left = summary.left
    assert (left.matched, left.review, left.offset, left.unmatched) == (2, 1, 2, 0)
    assert (summary.matched, summary.review) == (3, 1)
    assert [(s.stage, s.matched, s.review) for s in summary.stages] == [
        ("grouped", 2, 0), ("exact", 1, 0), ("tolerance", 0, 1),
    ]  # fmt: skip


def test_sums_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    largest = "99999999999999.99"
    lines = "".join(f"A{n},2026-01-02,{largest},EUR\n" for n in range(1000))
    left, right = (ledger(tmp_path / f"{side}.csv", lines) for side in ("left", "right"))
    found = Outcome("ledger", [], compared=[("amount", "amount", "amount")])
    [euros] = write_results(left, right, found, tmp_path).left.sums
    assert euros.unmatched == Decimal(largest) * 1000


def test_review_file_shows_both_records_and_what_else_came_into_question(tmp_path: Path) -> None:
    write_results(*two_ledgers(tmp_path), outcome(), tmp_path)
    header, line = (tmp_path / "review.csv").read_text().splitlines()
    assert header.startswith("left_row,right_row,left_id,right_id,amount,confidence,status,stage,")
    assert header.endswith(
        "alternatives,left: entry,left: day,left: amount,left: currency,"
        "right: entry,right: day,right: amount,right: currency"
    )
    assert line.startswith("3,4,A3,B4,75.20,0.3,review,tolerance,")
    assert line.endswith("B2 (0.10),A3,2026-01-04,75.25,USD,B4,2026-01-04,75.20,USD")


def test_unmatched_file_has_what_is_open_and_what_cancels_it(tmp_path: Path) -> None:
    left, right = two_ledgers(tmp_path)
    tally = Tally(left, right, outcome())
    list(tally.counted(outcome().matches))
    file = io.StringIO()
    sides = [
        ("left", left, Identifiers(left), tally.left),
        ("right", right, Identifiers(right), tally.right),
    ]
    assert write_unmatched(file, sides, outcome().offsets) == 4
    assert file.getvalue().splitlines()[1:] == [
        "left,3,A3,review,,A3,2026-01-04,75.25,USD",
        "left,4,A4,offset,5,A4,2026-01-05,60.00,USD",
        "left,5,A5,offset,4,A5,2026-01-06,-60.00,USD",
        "right,4,B4,review,,B4,2026-01-04,75.20,USD",
    ]


def test_pairs_that_follow_from_a_cluster_are_listed_once() -> None:
    found = [Match(1, 2, 0.9, M, "probabilistic"), Match(2, 4, 0.8, M, "probabilistic"),
             Match(1, 7, 0.2, R, "probabilistic"), Match(5, 6, 0.9, M, "exact")]  # fmt: skip
    clusters = {1: 1, 2: 1, 4: 1, 5: 5, 6: 5}
    completed = Completed(found, clusters)
    listed = list(completed)
    assert listed == list(completed)
    assert listed[:4] == found
    [implied] = listed[4:]
    assert (implied.left_row, implied.right_row, implied.stage) == (1, 4, "cluster")
    assert implied.confidence == 0.9 * 0.8
    many = dict.fromkeys(range(1, LARGEST + 2), 1)
    assert list(Completed([], many)) == []
