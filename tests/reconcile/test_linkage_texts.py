"""Linkage where records are texts, and where few of them have a partner."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from muniment.reconcile.columns import Dataset
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.given import Earlier
from muniment.reconcile.matching.linkage.doubts import doubt
from muniment.reconcile.matching.linkage.marks import marks_of
from muniment.reconcile.matching.linkage.model import Model, Uniqueness
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.stages import find_matches

_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "un", "ar")]


def word(random: Random, length: int = 3) -> str:
    return "".join(random.choice(_SYLLABLES) for _ in range(length))


def written(folder: Path, name: str, header: str, rows: list[str]) -> Dataset:
    path = folder / f"{name}.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return load(path)


def matched(outcome: Outcome) -> set[tuple[int, int]]:
    return {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}


def f1(found: set[tuple[int, int]], size: int) -> float:
    """Return it where the records of the same number belong together."""
    return 2 * sum(a == b for a, b in found) / (len(found) + size)


def test_marks_are_words_of_letters_and_digits(tmp_path: Path) -> None:
    rows = [
        "Camera DSC-W120/B 7.2MP,new in 2008",
        "DSCW120 camera dscw120,of 12",
        "A plain thing,nothing",
    ]
    marks = marks_of(written(tmp_path, "left", "title,about", rows))
    assert marks is not None
    found = [set(text.split()) for text in marks.to_pylist()]
    assert {"dscw120", "w120", "2008"} <= found[0]
    assert found[1:] == [{"dscw120"}, set()]


def products(random: Random, count: int) -> tuple[list[str], list[str]]:
    """Return titles of two shops, the partners in the same place; half are of one series."""
    brands, kinds = [word(random) for _ in range(12)], [word(random, 4) for _ in range(15)]
    left, right = [], []
    for at in range(count):
        if at % 2 == 0:
            brand, kind, series = random.choice(brands), random.choice(kinds), word(random, 1)
        number = 1000 + 7 * at
        extra, other = word(random, 2), word(random, 2)
        left.append(f"{brand} {kind} {extra} - {series.upper()}-{number}")
        right.append(f"{other} {kind} {brand} {series}{number}")
    return left, right


def test_codes_within_titles_tell_the_products_of_a_series_apart(tmp_path: Path) -> None:
    left, right = products(Random(3), 300)
    ours, theirs = (written(tmp_path, n, "title", r) for n, r in (("left", left), ("right", right)))
    outcome = find_matches(ours, theirs)
    assert f1(matched(outcome), 300) >= 0.97
    first = next(iter(outcome.matches))
    code = first.explanation[-1]
    assert str(1000 + 7 * (first.left_row - 1)) in code.left
    assert code.weight > 0


def test_a_later_run_compares_codes_within_titles_too(tmp_path: Path) -> None:
    left, right = products(Random(4), 300)
    before = written(tmp_path, "before", "title", left[:285])
    theirs = written(tmp_path, "right", "title", right)
    earlier = find_matches(before, theirs)
    pairs = [(m.left_row, m.right_row, m.confidence, m.stage) for m in earlier.matches]
    new = Earlier(list(range(286, 301)), [], pairs, earlier.model)
    again = find_matches(written(tmp_path, "after", "title", left), theirs, earlier=new)
    assert any(note.startswith("15 new records") for note in again.notes)
    assert f1(matched(again), 300) >= 0.97


@pytest.mark.parametrize("partners", [300, 60])
def test_one_column_of_text_is_enough(tmp_path: Path, partners: int) -> None:
    random = Random(5)
    some = [word(random) for _ in range(400)]
    left, right = [], []
    for at in range(300):
        words = random.choices(some, k=6)
        left.append(" ".join(words))
        random.shuffle(words)
        theirs = words[1:] if at < partners else random.choices(some, k=5)
        right.append(" ".join([*theirs, random.choice(some)]))
    ours, theirs = (written(tmp_path, n, "text", r) for n, r in (("left", left), ("right", right)))
    assert f1(matched(find_matches(ours, theirs)), partners) >= 0.9


@pytest.mark.parametrize(("related", "score"), [(20, 0.0), (0, 10.0)])
def test_candidates_are_doubted_that_are_as_frequent_as_strangers(
    related: int, score: float
) -> None:
    # Of 100 records on each side, 20 related pairs within one make 40 between the two.
    weights = np.concatenate((np.full(40, 10.0), np.full(60, -10.0)))
    model = Model(weights[:, None], [np.array([-10.0, 10.0])], 1.0, np.where(weights > 0, 0.5, 0.0))
    within = np.array([[1]] * related + [[0]] * 50, np.int16)
    doubted = doubt(model, [within, within], (100, 100), Uniqueness(left=True, right=True))
    assert (doubted is None) == (related == 0)
    assert float((doubted or model).score[:40].max()) <= score
