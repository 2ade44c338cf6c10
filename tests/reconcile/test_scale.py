"""What keeps large datasets cheap: estimates, samples, and nothing held that can be made again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from benchmarks.persons import persons, write
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage import sample
from muniment.reconcile.matching.linkage.candidates import nearest, record_vectors
from muniment.reconcile.matching.linkage.duplicates import find_duplicates
from muniment.reconcile.matching.linkage.estimate import Plan, estimate
from muniment.reconcile.matching.linkage.own_pairs import own_candidates, own_fields
from muniment.reconcile.rules import ComparedColumns, Rules


def test_the_persons_of_a_seed_are_always_the_same() -> None:
    assert list(persons(300, 7)) == list(persons(300, 7))
    assert list(persons(300, 7)) != list(persons(300, 8))


def test_the_plan_tells_before_what_a_run_compares(tmp_path: Path) -> None:
    write(tmp_path / "people.csv", 3_000)
    dataset = load(tmp_path / "people.csv")
    plan = estimate(dataset)
    fields, side = own_fields(dataset)
    assert side is not None
    found = own_candidates(dataset, fields, side, Rules(), Given())
    assert plan.pairs == pytest.approx(len(found.i), rel=0.3)
    assert plan.possible_pairs == 3_000 * 2_999 // 2
    assert [rule.kind for rule in plan.rules] == ["nearest"] + ["shared_value"] * 3
    shared = {rule.left[0]: rule.pairs for rule in plan.rules[1:]}
    emails = [value for value in dataset.values("email").to_pylist() if value]
    _, counts = np.unique(emails, return_counts=True)
    counted = sum(n * (n - 1) // 2 for n in counts.tolist() if n * n <= 20)
    # Addresses that differ in their punctuation only are compared as equal.
    assert shared["email"] == pytest.approx(counted, abs=3)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_larger_dataset_costs_more(tmp_path: Path) -> None:
    plans = []
    for records in (500, 2_000):
        write(tmp_path / f"{records}.csv", records)
        plans.append(estimate(load(tmp_path / f"{records}.csv")))
    assert plans[0].pairs < plans[1].pairs
    assert plans[0].seconds < plans[1].seconds
    assert plans[0].memory_mb < plans[1].memory_mb


def test_the_plan_of_two_datasets(shared_data: Path) -> None:
    folder = shared_data / "linkage" / "fodors-zagats"
    left, right = load(folder / "left.csv"), load(folder / "right.csv")
    plan = estimate(left, right)
    assert plan.possible_pairs == left.rows * right.rows
    assert plan.pairs < plan.possible_pairs / 10
    assert ("phone", "phone", "code") in plan.compared
    told = estimate(left, right, Rules(compare=[ComparedColumns("name", "name")]))
    assert [pair[:2] for pair in told.compared] == [("name", "name")]


def test_a_model_learned_from_a_sample_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = write(tmp_path / "people.csv", 6_000)
    dataset = load(tmp_path / "people.csv")
    scores = []
    for pairs in (10**9, 12_000):
        monkeypatch.setattr(sample, "LEARNED_FROM", pairs)
        matches = find_duplicates(dataset).matches
        found = [(m.left_row, m.right_row) for m in matches if m.status == "matched"]
        right = sum(who[a - 1] == who[b - 1] for a, b in found)
        _, counts = np.unique(who, return_counts=True)
        scores.append(2 * right / (len(found) + sum(n * (n - 1) // 2 for n in counts.tolist())))
    assert scores[1] == pytest.approx(scores[0], abs=0.03)


def test_the_nearest_are_those_of_the_whole_product() -> None:
    texts = pa.array([" ".join(row[:5]) for row in persons(400, 3)])
    vectors, other = record_vectors([texts], [texts])
    exact = (vectors @ other.T).toarray()
    i, j = nearest(vectors, other, count=5)
    for row in range(0, 400, 40):
        least = np.sort(exact[row])[-5]
        assert len(j[i == row]) == 5
        assert (exact[row, j[i == row]] >= least - 1e-5).all()
