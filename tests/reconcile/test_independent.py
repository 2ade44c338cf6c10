"""Records of few, common values: what a model of independent fields tells, and where it fails."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.persons import write
from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.linkage.clusters import Judged, gather, missing_pairs
from muniment.reconcile.matching.linkage.comparisons import (
    Compared,
    compare_field,
    equal_by_level,
)
from muniment.reconcile.matching.linkage.duplicates import find_duplicates
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.independent import are_independent
from muniment.reconcile.matching.linkage.link import link
from muniment.reconcile.matching.linkage.model import Model
from muniment.reconcile.matching.outcome import Outcome

Pair = tuple[int, int]
Record = list[str]

SOUNDS = ["ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "vi", "zu"]
NAMES = ["".join(word) for word in itertools.product(SOUNDS, repeat=2)]
RECORDS = 2_000
TWICE = 200


def register(chance: Random) -> list[Record]:
    """Return people of a hundred first and last names, and when they were born, in three parts."""
    return [
        [
            NAMES[int(99 * chance.random() ** 2)],
            NAMES[int(99 * chance.random() ** 2)] + "son",
            str(chance.randint(1930, 2005)),
            str(chance.randint(1, 12)),
            str(chance.randint(1, 28)),
        ]
        for _ in range(RECORDS)
    ]


def slipped(record: Record, chance: Random) -> Record:
    """Return the record with one letter or number of one field gone wrong."""
    wrong = record.copy()
    at = chance.randrange(len(record))
    if at < 2:
        place = chance.randrange(1, len(record[at]))
        wrong[at] = record[at][:place] + chance.choice("abekst") + record[at][place + 1 :]
    else:
        wrong[at] = str(chance.randint(1, 12))
    return wrong


def written(path: Path, records: Iterable[Record]) -> Dataset:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first", "last", "year", "month", "day"])
        writer.writerows(records)
    return load(path)


def f1(outcome: Outcome, gold: set[Pair]) -> float:
    found = {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}
    return 2 * len(found & gold) / (len(found) + len(gold))


def test_people_of_whom_nothing_but_name_and_birth_is_known(tmp_path: Path) -> None:
    """Each value is shared with many: a month with two hundred, a name with dozens."""
    chance = Random(5)
    first = register(chance)
    again = [slipped(record, chance) for record in first[:TWICE]]
    one = find_duplicates(written(tmp_path / "one.csv", [*first, *again]))
    assert f1(one, {(at, RECORDS + at) for at in range(1, TWICE + 1)}) > 0.93
    others = [*again, *register(chance)]
    two = link(written(tmp_path / "a.csv", first), written(tmp_path / "b.csv", others))
    assert f1(two, {(at, at) for at in range(1, TWICE + 1)}) > 0.93
    promised = [m.confidence for m in two.matches if m.status == "matched"]
    assert np.mean(promised) == pytest.approx(f1(two, {(n, n) for n in range(1, 201)}), abs=0.06)


def test_people_and_their_households_in_two_files(tmp_path: Path) -> None:
    """A third of the left records have a partner; their families stand on both sides."""
    path = tmp_path / "people.csv"
    who = write(path, 4_000)
    lines = path.read_text().splitlines()
    seen: dict[int, int] = {}
    left, right = [lines[0]], [lines[0]]
    gold, of_left = set(), {}
    for person, line in zip(who, lines[1:], strict=True):
        seen[person] = seen.get(person, -1) + 1
        if seen[person] == 0 and (who.count(person) > 1 or person % 2):
            left.append(line)
            of_left[person] = len(left) - 1
        elif seen[person] <= 1:
            right.append(line)
            if person in of_left:
                gold.add((of_left[person], len(right) - 1))
    for name, side in (("left", left), ("right", right)):
        (tmp_path / f"{name}.csv").write_text("\n".join(side) + "\n")
    assert len(gold) > 300
    assert f1(link(load(tmp_path / "left.csv"), load(tmp_path / "right.csv")), gold) > 0.8


def field(values: list[str]) -> tuple[FieldPair, dict[str, pa.Array]]:
    column = Column("name", ColumnType.text, Role.name, 0, len(values), 0, 0, 0.0)
    return FieldPair(column, column, Kind.TEXT, few=False), {"name": pa.array(values)}


def test_equal_values_are_counted_exactly() -> None:
    chance = Random(3)
    values = [chance.choice(["", "anna", "anna", "bert", "carl", f"d{n}"]) for n in range(90)]
    pair, texts = field(values)
    i, j = np.array(list(itertools.combinations(range(90), 2))).T
    found = equal_by_level(pair, texts, texts, same=True)
    assert found is not None
    level = compare_field(pair, texts, texts, i, j).level
    share = np.bincount(level[level >= 0], minlength=len(found)) / (level >= 0).sum()
    counted = ~np.isnan(found)
    assert found[counted] == pytest.approx(share[counted])
    i, j = (side.ravel() for side in np.mgrid[0:90, 0:90])
    level = compare_field(pair, texts, texts, i, j).level
    share = np.bincount(level[level >= 0], minlength=len(found)) / (level >= 0).sum()
    other = equal_by_level(pair, texts, texts, same=False)
    assert other is not None
    assert other[counted] == pytest.approx(share[counted])


def model_of(agreements: list[tuple[bool, bool, int]]) -> tuple[Model, list[Compared]]:
    """Return a model sure of its matches, so many of which agree in each of two fields."""
    rows = [both for *both, times in agreements for _ in range(times)]
    pair, _ = field(["anna"])
    compared = [
        Compared(
            pair, np.array([12 * row[at] for row in rows], np.int16), 13, np.ones(1, "f4"), None
        )
        for at in (0, 1)
    ]
    weights = np.full((len(rows), 2), 20.0)
    return Model(weights, [], 1.0, np.full(len(rows), 0.9), total=1e4), compared


def test_fields_that_agree_together_are_told_from_those_that_slip_alone() -> None:
    persons = [(True, True, 80), (True, False, 10), (False, True, 10)]
    households = [(True, True, 50), (True, False, 2), (False, True, 2), (False, False, 46)]
    assert are_independent(*model_of(persons))
    assert not are_independent(*model_of(households))
    # Of a few pairs nothing can be said.
    assert are_independent(*model_of([(True, True, 4), (False, False, 4)]))


@pytest.mark.parametrize("bridged", [False, True])
def test_large_clusters_are_found_whole_and_apart(bridged: bool) -> None:
    sizes = [120, 90]
    pairs = [
        (start + a, start + b, 8.0)
        for start, size in ((0, sizes[0]), (sizes[0], sizes[1]))
        for a in range(size)
        for b in range(a + 1, min(a + 4, size))
    ]
    if bridged:
        pairs.append((100, 150, 6.0))
    i, j, score = (np.array(column) for column in zip(*pairs, strict=True))
    tangle = np.zeros(sum(sizes), np.int64) if bridged else np.repeat([0, 120], sizes)
    a, b = missing_pairs(tangle, i, j)
    assert not {*zip(a.tolist(), b.tolist(), strict=True)} & {
        *zip(i.tolist(), j.tolist(), strict=True)
    }
    # Each is compared with a few more of its tangle, who are the same or are not.
    drawn = np.where((a < sizes[0]) == (b < sizes[0]), 6.0, -6.0)
    no = np.zeros(len(i) + len(a), np.bool_)
    all_scores = np.concatenate((score, drawn))
    judged = Judged(
        np.concatenate((i, a)), np.concatenate((j, b)), all_scores, all_scores > 0, no, no
    )
    assert gather(judged, sum(sizes)).tolist() == [0] * 120 + [120] * 90
