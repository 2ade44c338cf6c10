"""A run of only the new records finds what a full one does."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec
import pytest

from benchmarks.persons import write
from muniment.reconcile.columns import Dataset
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.given import Earlier
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.stages import find_matches
from muniment.reconcile.rules import ComparedColumns, Rules


@dataclass(frozen=True)
class Grown:
    """A dataset before and after records were added at its end."""

    before: Dataset
    after: Dataset
    new: list[int]


def grown(path: Path, folder: Path, share: float = 0.05) -> Grown:
    """Hold back some of a file's records, picked at random and put last."""
    with path.open(encoding="utf-8", newline="") as lines:
        header, *rows = list(csv.reader(lines))
    Random(5).shuffle(rows)
    kept = len(rows) - int(len(rows) * share)
    made = []
    for name, some in (("before", rows[:kept]), ("after", rows)):
        target = folder / f"{path.stem}_{name}.csv"
        with target.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([header, *some])
        made.append(load(target))
    return Grown(made[0], made[1], list(range(kept + 1, len(rows) + 1)))


def matched(outcome: Outcome) -> set[tuple[int, int]]:
    return {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}


def after(outcome: Outcome, left: list[int], right: list[int]) -> Earlier:
    pairs = [(m.left_row, m.right_row, m.confidence, m.stage) for m in outcome.matches]
    return Earlier(left, right, pairs, outcome.model)


def alike(one: set[tuple[int, int]], other: set[tuple[int, int]]) -> float:
    return len(one & other) / len(one | other)


def test_new_records_of_two_datasets(shared_data: Path, tmp_path: Path) -> None:
    left, right = (
        grown(shared_data / "linkage" / "dblp-acm" / f"{side}.csv", tmp_path)
        for side in ("left", "right")
    )
    first = find_matches(left.before, right.before)
    earlier = after(first, left.new, right.new)
    again = find_matches(left.after, right.after, earlier=earlier)
    full = find_matches(left.after, right.after)
    assert alike(matched(again), matched(full)) >= 0.99
    assert f"{len(left.new) + len(right.new)} new records" in " ".join(again.notes)
    assert _compared(again) < _compared(full) / 4


def _compared(outcome: Outcome) -> int:
    note = next(note for note in outcome.notes if note.endswith("pairs were compared."))
    return int(note.split()[0])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("people")
    write(folder / "people.csv", 4_000)
    return grown(folder / "people.csv", folder)


@pytest.fixture(scope="module")
def first(people: Grown) -> Outcome:
    return find_matches(people.before)


def test_new_records_of_one_dataset(people: Grown, first: Outcome) -> None:
    again = find_matches(people.after, earlier=after(first, people.new, []))
    full = find_matches(people.after)
    assert _compared(again) < _compared(full) / 4
    assert alike(_with(people.new, again), _with(people.new, full)) >= 0.9
    # What was found before stays, though a model learned anew would see some pairs otherwise.
    before = matched(first)
    assert alike(matched(again) - _with(people.new, again), before) >= 0.99


def _with(new: list[int], outcome: Outcome) -> set[tuple[int, int]]:
    return {pair for pair in matched(outcome) if max(pair) >= new[0]}


def test_nothing_new_changes_nothing(shared_data: Path) -> None:
    folder = shared_data / "linkage" / "fodors-zagats"
    left, right = load(folder / "left.csv"), load(folder / "right.csv")
    once = find_matches(left, right)
    again = find_matches(left, right, earlier=after(once, [], []))
    assert matched(again) == matched(once)
    before = {(m.left_row, m.right_row): m.confidence for m in once.matches}
    now = {(m.left_row, m.right_row): m.confidence for m in again.matches}
    assert now == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (None, "no model"),
        (b"", "no model"),
        (b"\xff\x00 not a model", "no model"),
        (b'{"version": 0}', "no model"),
    ],
)
def test_without_a_readable_model_everything_is_compared(
    people: Grown, first: Outcome, model: bytes | None, why: str
) -> None:
    earlier = msgspec.structs.replace(after(first, [], []), model=model)
    again = find_matches(people.before, earlier=earlier)
    assert matched(again) == matched(first)
    assert why in " ".join(again.notes)


def test_after_a_change_of_columns_everything_is_compared(people: Grown, first: Outcome) -> None:
    rules = Rules(compare=[ComparedColumns("email", "email"), ComparedColumns("phone", "phone")])
    again = find_matches(people.before, rules=rules, earlier=after(first, [], []))
    assert "other columns" in " ".join(again.notes)


def test_when_much_is_new_everything_is_compared(people: Grown, first: Outcome) -> None:
    new = list(range(1, people.before.rows // 2))
    again = find_matches(people.before, earlier=after(first, new, []))
    assert "too many are new" in " ".join(again.notes)
    assert matched(again) == matched(first)
