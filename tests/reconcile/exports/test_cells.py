"""Cells of exported files, and the explanation in one line."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from muniment.reconcile.exports.cells import csv_lines, guard, plain
from muniment.reconcile.exports.explanation import explain
from muniment.reconcile.exports.matches_file import write_matches_csv
from muniment.reconcile.exports.rows import MatchRow
from muniment.reconcile.matching.match import FieldEvidence


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1", "-", "+a", "--1"],
)
def test_what_would_be_calculated_is_text(text: str) -> None:
    assert guard(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["-5,20", "+31 20 123", "-1.204,50", "-3%", "a=b", "", "1-2", "'="]
)
def test_numbers_and_other_text_stay_as_they_are(text: str) -> None:
    assert guard(text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.10"), "-0.10"),
        (0.1 + 0.2, "0.3"),
        (1.0, "1"),
        (0.0, "0"),
        (1e-7, "0"),
        (12, "12"),
        (True, "true"),
    ],
)
def test_values_are_written_plainly(value: object, expected: str) -> None:
    assert plain(value) == expected


def test_lines_are_read_back_as_they_were() -> None:
    rows = [["a,b", 'say "x"', "two\nlines", None, Decimal("1.50")], ["=1", "ü", "", 3, 0.25]]
    read = list(csv.reader(io.StringIO(csv_lines(rows), newline="")))
    assert read == [
        ["a,b", 'say "x"', "two\nlines", "", "1.50"], ["=1", "ü", "", "3", "0.25"],
    ]  # fmt: skip


def test_the_matches_file_of_one_dataset_has_a_cluster() -> None:
    row = MatchRow(1, 2, "a", None, None, 0.5, "review", "exact", "", 7)
    for clusters, expected in ((False, "exact,\r\n"), (True, "exact,,7\r\n")):
        file = io.StringIO()
        assert write_matches_csv([row], file, clusters=clusters) == 1
        head, line, _ = file.getvalue().split("\n")
        assert head.strip().split(",")[-1] == ("cluster_id" if clusters else "explanation")
        assert f"{line}\n".endswith(expected)


def test_what_weighs_most_is_told_first() -> None:
    told = explain(
        [
            FieldEvidence("name", "name", "Müller  GmbH", "Mueller", 0.9, 6.1),
            FieldEvidence("amount", "total", "8.00", "8.00", 1.0, 8.04),
            FieldEvidence("town", "town", "Bonn", "", 0.0, 0.0),
            FieldEvidence("date", "date", "2024-01-01", "2024-06-01", 0.1, -2.5),
            FieldEvidence("text", "text", "x" * 100, "y", 0.2, -0.5),
        ]
    )
    assert told == (
        "amount / total: 8.00 equal (+8.0); name: Müller GmbH ≈ Mueller (+6.1); "
        f"date: 2024-01-01 ≠ 2024-06-01 (-2.5); text: {'x' * 59}… ≠ y (-0.5)"
    )


def test_a_member_of_a_sum_is_told_as_a_part_of_it() -> None:
    part = FieldEvidence("amount", "total", "1737.75", "585.00", 1.0, 2.6)
    back = FieldEvidence("amount", "amount", "-585.00", "-1737.75", 1.0, 2.6)
    same = FieldEvidence("amount", "amount", "585.0", "585.00", 1.0, 2.6)
    assert explain([part]) == "amount / total: 585.00 of 1737.75 (+2.6)"
    assert explain([back]) == "amount: -585.00 of -1737.75 (+2.6)"
    assert explain([same]) == "amount: 585.0 = 585.00 (+2.6)"
