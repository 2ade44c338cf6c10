"""Columns of two datasets that are about the same thing are found, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.loading import errors, load
from muniment.reconcile.pairing import pair_columns, pairs_of

FIRST = ["Ann", "Bob", "Cleo", "Dan", "Eva", "Fay", "Gus", "Hal", "Ida", "Jon"]
LAST = ["Ames", "Barr", "Cox", "Dow", "Elm", "Fox", "Gill", "Hay", "Ives", "Judd"]


def table(path: Path, columns: dict[str, list[str]]) -> Dataset:
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([";".join(columns), *(";".join(row) for row in rows)]) + "\n")
    return load(path)


def test_columns_are_paired_by_what_they_hold(tmp_path: Path) -> None:
    left = table(
        tmp_path / "l.csv",
        {
            "id": [f"L{n}" for n in range(10)],
            "given": FIRST,
            "family": LAST,
            "betrag": [f"{n * 7}.50" for n in range(10)],
            "invoice": [f"INV-{n:04d}" for n in range(10)],
        },
    )
    right = table(
        tmp_path / "r.csv",
        {
            "key": [f"R{n}" for n in range(10)],
            "b": LAST[::-1],
            "a": FIRST[::-1],
            "sum": [f"{n * 7}.50" for n in range(10)],
            "code": [f"inv-{n:04d}" for n in range(10)],
        },
    )
    pairs = {(pair.left, pair.right) for pair in pair_columns(left, right)}
    assert pairs == {("given", "a"), ("family", "b"), ("betrag", "sum"), ("invoice", "code")}
    assert ("id", "key") not in {(pair.left, pair.right) for pair in pairs_of(left, right)}


def test_an_identifier_is_paired_with_the_reference_to_it(tmp_path: Path) -> None:
    left = table(tmp_path / "l.csv", {"id": [f"P-{n:03d}" for n in range(10)], "who": FIRST})
    right = table(
        tmp_path / "r.csv",
        {"id": [f"R{n}" for n in range(10)], "pays": [f"p-{n % 5:03d}" for n in range(10)]},
    )
    found = {(pair.left, pair.right): pair for pair in pairs_of(left, right)}
    assert found["id", "pays"].overlap == 1.0


def test_row_numbers_of_both_sides_are_no_pair(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(10)]
    left = table(tmp_path / "l.csv", {"id": numbers, "name": FIRST})
    right = table(tmp_path / "r.csv", {"id": numbers, "name": FIRST[::-1]})
    assert [(pair.left, pair.role) for pair in pair_columns(left, right)] == [("name", Role.name)]


def test_datasets_without_shared_columns_are_refused(tmp_path: Path) -> None:
    left = table(tmp_path / "l.csv", {"day": [f"2024-01-{n:02d}" for n in range(1, 11)]})
    right = table(tmp_path / "r.csv", {"mail": [f"{name}@example.org" for name in FIRST]})
    with pytest.raises(errors.NoSharedColumns, match="day"):
        pair_columns(left, right)
