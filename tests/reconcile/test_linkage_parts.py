"""Parts of the linkage engine on cases small enough to work out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.errors import NoSharedColumns
from muniment.reconcile.matching.linkage.assignment import assign
from muniment.reconcile.matching.linkage.candidates import nearest, record_vectors, sharing
from muniment.reconcile.matching.linkage.duplicates import find_duplicates
from muniment.reconcile.matching.linkage.link import first_guess, link
from muniment.reconcile.matching.linkage.model import Model, Uniqueness, compete
from muniment.reconcile.matching.linkage.terms import gram_counts
from muniment.reconcile.matching.linkage.threshold import best_threshold

Array = npt.NDArray[np.generic]
ONE_TO_ONE = Uniqueness(left=True, right=True)


def exact(score: Array, i: Array, j: Array) -> Array:
    """Return the marginals of all matchings, by listing them."""
    odds, total, found = np.exp2(score), 0.0, np.zeros(len(score))
    for size in range(len(score) + 1):
        for chosen in itertools.combinations(range(len(score)), size):
            rows, columns = {int(i[e]) for e in chosen}, {int(j[e]) for e in chosen}
            if len(rows) == len(columns) == size:
                weight = float(np.prod(odds[list(chosen)]))
                total += weight
                found[list(chosen)] += weight
    return found / total


def test_competition_is_exact_on_a_chain_of_rivals() -> None:
    i, j = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 2])
    score = np.array([1.0, 3.0, 2.0, -1.0, 0.5])
    assert compete(score, i, j, ONE_TO_ONE) == pytest.approx(exact(score, i, j), abs=1e-6)


def test_competition_is_near_the_truth_on_a_cycle() -> None:
    i, j = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    score = np.array([4.0, 1.0, 1.0, 3.0])
    assert compete(score, i, j, ONE_TO_ONE) == pytest.approx(exact(score, i, j), abs=0.05)


def test_without_competition_a_pair_stands_for_itself() -> None:
    score, rows = np.array([0.0, 2.0]), np.array([0, 0])
    alone = compete(score, rows, np.array([0, 1]), Uniqueness(left=False, right=False))
    assert alone == pytest.approx([0.5, 0.8])


def test_the_assignment_gives_up_a_good_pair_for_two_better_together() -> None:
    i, j = np.array([0, 0, 1]), np.array([0, 1, 0])
    weights = np.array([[5.0], [4.0], [4.0]])
    model = Model(weights, [], 1.0, np.array([0.6, 0.4, 0.4]))
    assert assign(model, i, j, ONE_TO_ONE).tolist() == [False, True, True]


def test_the_threshold_maximises_the_expected_f1() -> None:
    p = np.array([0.99, 0.9, 0.6, 0.3, 0.1])
    kept = [p[: k + 1] for k in range(len(p))]
    expected = [2 * k.sum() / (len(k) + p.sum()) for k in kept]
    threshold = best_threshold(p, float(p.sum()))
    assert threshold == pytest.approx(max(expected) / 2)
    assert int((p >= threshold).sum()) == int(np.argmax(expected)) + 1


def test_letter_groups_count_the_ends_and_repeat() -> None:
    left, right = gram_counts(pa.array(["aba", "", "ab"]), pa.array(["aba"]))
    assert left.sum(axis=1).ravel().tolist() == [[3.0, 0.0, 2.0]]
    assert (left[0] - right[0]).nnz == 0


def test_the_nearest_are_the_most_alike() -> None:
    texts = [pa.array(["anna smith", "bob jones", "carla diaz"])]
    others = [pa.array(["jones bob", "smith anna", "nobody"])]
    a, b = record_vectors(texts, others)
    i, j = nearest(a, b, count=1)
    assert dict(zip(i.tolist(), j.tolist(), strict=True)) == {0: 1, 1: 0}


def test_shared_keys_join_unless_too_common() -> None:
    i, j = sharing(pa.array(["x", "", "y", "x"]), pa.array(["", "x", "z"]))
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (3, 1)]
    common = pa.array(["same"] * 5)
    assert not len(sharing(common, common)[0])


def test_a_lead_is_what_a_first_guess_goes_by() -> None:
    i, j = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    guess = first_guess(np.array([0.9, 0.1, 0.1, 0.3]), i, j)
    assert guess[0] > guess[3] > guess[1]


PEOPLE = [
    ("anna", "smith", "12 high street", "leeds"),
    ("robert", "jones", "4 mill lane", "york"),
    ("carla", "diaz", "77 station road", "bath"),
    ("deborah", "nguyen", "9 church close", "derby"),
    ("edward", "okafor", "31 king square", "exeter"),
    ("fatima", "haddad", "250 north parade", "leeds"),
    ("george", "lindqvist", "8 orchard way", "truro"),
    ("helena", "petrova", "66 canal walk", "york"),
    ("imran", "chowdhury", "5 abbey gardens", "bath"),
    ("judith", "mackenzie", "140 victoria avenue", "derby"),
]


def dataset(name: str, rows: list[tuple[str, ...]], first_id: int = 1) -> Dataset:
    names = ["id", "first", "last", "address", "town"]
    roles = [Role.identifier, Role.name, Role.name, Role.address, Role.address]
    values = [[str(first_id + at) for at in range(len(rows))], *map(list, zip(*rows, strict=True))]
    columns = [
        Column(
            title,
            ColumnType.text,
            role,
            at,
            rows=len(rows),
            distinct=len(set(values[at])),
            mean_length=sum(map(len, values[at])) / len(rows),
        )
        for at, (title, role) in enumerate(zip(names, roles, strict=True))
    ]
    return Dataset.from_table(name, pa.table(values, names=names), columns)


def test_people_with_slips_are_matched_and_row_numbers_are_not_believed() -> None:
    slips = [(a.replace("a", "e", 1), b, c, d) for a, b, c, d in reversed(PEOPLE)]
    matches = list(link(dataset("left", PEOPLE), dataset("right", slips)).matches)
    matched = {(m.left_row, m.right_row) for m in matches if m.status == "matched"}
    assert matched == {(at, len(PEOPLE) + 1 - at) for at in range(1, len(PEOPLE) + 1)}
    assert all(m.explanation[0].field_left == "first" for m in matches)


def test_duplicates_are_clustered() -> None:
    copies = [(a, b, c.replace("e", "", 1), d) for a, b, c, d in PEOPLE[:4]]
    found = find_duplicates(dataset("people", PEOPLE + copies))
    assert found.clusters == {
        row: number for number in range(1, 5) for row in (number, number + len(PEOPLE))
    }


def test_nothing_in_nothing_out() -> None:
    empty = dataset("left", PEOPLE)
    empty = Dataset.from_table("left", empty.table.slice(0, 0), empty.columns)
    assert list(link(empty, dataset("right", PEOPLE)).matches) == []
    assert list(find_duplicates(empty).matches) == []


def test_datasets_of_nothing_but_identifiers_are_an_error() -> None:
    column = Column("id", ColumnType.text, Role.identifier, rows=2, distinct=2, mean_length=2)
    sides = [
        Dataset.from_table(name, pa.table({"id": pa.array(values)}), [column])
        for name, values in (("left", ["a1", "a2"]), ("right", ["x1", "x2"]))
    ]
    with pytest.raises(NoSharedColumns):
        link(*sides)
