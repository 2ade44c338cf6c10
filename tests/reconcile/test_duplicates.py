"""Duplicates of one dataset: pairs, clusters, and what people have said about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks.persons import write
from muniment.reconcile.columns import Dataset
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage.clusters import Judged, gather, missing_pairs
from muniment.reconcile.matching.linkage.duplicates import find_duplicates
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import ComparedColumns, Key, Rules, Stages

RECORDS = 3_000


@dataclass(frozen=True)
class People:
    """Persons who are held several times, and who is who."""

    dataset: Dataset
    who: list[int]

    def same(self, pair: tuple[int, int]) -> bool:
        return self.who[pair[0] - 1] == self.who[pair[1] - 1]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    path = tmp_path_factory.mktemp("people") / "people.csv"
    who = write(path, RECORDS)
    return People(load(path), who)


@pytest.fixture(scope="module")
def outcome(people: People) -> Outcome:
    return find_duplicates(people.dataset)


def matched(outcome: Outcome) -> set[tuple[int, int]]:
    return {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}


def pairs_of(names: list[int]) -> int:
    return sum(n * (n - 1) // 2 for n in Counter(names).values())


def test_records_with_many_copies(tmp_path: Path) -> None:
    chance = Random(11)
    lines, who = ["name,street,town,born,tax number"], []
    for person in range(600):
        cells = [
            f"{word(chance, 2)} {word(chance, 3)}",
            f"{word(chance, 3)} street {chance.randrange(1, 90)}",
            word(chance, 2),
            str(date(1940, 1, 1) + timedelta(days=chance.randrange(25_000))),
            str(chance.randrange(10**7, 10**8)),
        ]
        for _ in range(chance.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 6])):
            lines.append(",".join(slipped(cell, chance) for cell in cells))
            who.append(person)
    path = tmp_path / "copies.csv"
    path.write_text("\n".join(lines))
    found = matched(find_duplicates(load(path)))
    right = sum(who[one - 1] == who[other - 1] for one, other in found)
    assert right / len(found) >= 0.98
    assert right / pairs_of(who) >= 0.9


def word(chance: Random, syllables: int) -> str:
    return "".join(
        chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(syllables)
    )


def slipped(cell: str, chance: Random) -> str:
    """Return a cell as somebody else might write it: now and then with a slip, or not at all."""
    kind = chance.random()
    if kind < 0.1:
        return ""
    if kind < 0.35:
        at = chance.randrange(len(cell))
        return cell[:at] + cell[at + 1 :]
    return cell


def test_people_of_one_household_are_not_one_person(people: People, outcome: Outcome) -> None:
    found = matched(outcome)
    right = sum(people.same(pair) for pair in found)
    assert right / len(found) >= 0.98
    assert right / pairs_of(people.who) >= 0.85


def test_confidence_is_a_probability(people: People, outcome: Outcome) -> None:
    sure = [m for m in outcome.matches if m.confidence >= 0.9]
    right = [people.same((m.left_row, m.right_row)) for m in sure]
    promised = sum(m.confidence for m in sure) / len(sure)
    assert sum(right) / len(right) == pytest.approx(promised, abs=0.02)


def test_the_pairs_listed_are_those_of_the_clusters(outcome: Outcome) -> None:
    listed = Counter(outcome.clusters[left] for left, _ in matched(outcome))
    sizes = Counter(outcome.clusters.values())
    assert listed == {name: size * (size - 1) // 2 for name, size in sizes.items()}
    assert all(name == min(r for r, n in outcome.clusters.items() if n == name) for name in sizes)


def test_matches_can_be_walked_through_twice(outcome: Outcome) -> None:
    assert list(outcome.matches) == list(outcome.matches)
    confidences = [m.confidence for m in outcome.matches]
    assert confidences == sorted(confidences, reverse=True)


def test_decisions_hold_whatever_the_data_say(people: People, outcome: Outcome) -> None:
    rejected = next(iter(sorted(matched(outcome))))
    alone = [r for r in range(1, RECORDS + 1) if r not in outcome.clusters]
    accepted = (alone[0], alone[-1])
    found = find_duplicates(people.dataset, given=Given([accepted], [rejected]))
    assert found.clusters[accepted[0]] == found.clusters[accepted[1]] == accepted[0]
    by_pair = {(m.left_row, m.right_row): m for m in found.matches}
    assert by_pair[accepted].confidence == 1.0
    assert by_pair[accepted].stage == "decision"
    assert rejected not in by_pair
    clusters = [found.clusters.get(row, row) for row in rejected]
    assert clusters[0] != clusters[1]


def test_copies_of_one_record_are_one_cluster_however_many(tmp_path: Path) -> None:
    path = tmp_path / "copies.csv"
    write(path, 400)
    lines = path.read_text(encoding="utf-8").splitlines()
    _, _, rest = lines[1].partition(",")
    copies = [f"C{at},{rest}" for at in range(60)]
    path.write_text("\n".join([*lines, *copies]) + "\n", encoding="utf-8")
    found = find_duplicates(load(path))
    assert {found.clusters[row] for row in [1, *range(401, 461)]} == {1}


def test_rules_say_what_is_compared(people: People) -> None:
    columns = [ComparedColumns("email", "email"), ComparedColumns("surname", "surname")]
    found = find_duplicates(people.dataset, rules=Rules(compare=columns))
    assert [(left, right) for left, right, _ in found.compared] == [
        ("email", "email"),
        ("surname", "surname"),
    ]


def test_only_a_key_counts_where_likeness_is_switched_off(people: People) -> None:
    rules = Rules(keys=[Key(["phone"], ["phone"])], stages=Stages(probabilistic=False))
    found = find_duplicates(people.dataset, rules=rules)
    phones = people.dataset.values("phone").to_pylist()
    pairs = matched(found)
    assert pairs
    assert {m.stage for m in found.matches} == {"exact"}
    direct = [pair for pair in pairs if phones[pair[0] - 1] == phones[pair[1] - 1]]
    assert len(direct) == len(pairs)


def test_progress_moves_forward_and_by_small_steps(people: People) -> None:
    told: list[tuple[str, float]] = []
    find_duplicates(people.dataset, progress=lambda step, share: told.append((step, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert max(np.diff(shares)) <= 0.25


def clusters(pairs: list[tuple[int, int, float]], apart: int = -1, must: int = -1) -> list[int]:
    i, j, score = (np.array(column) for column in zip(*pairs, strict=True))
    places = np.arange(len(pairs))
    judged = Judged(i, j, score, score > 0, places == must, places == apart)
    return gather(judged, 4).tolist()


def test_one_accidental_likeness_does_not_chain_two_clusters() -> None:
    strong = [(0, 1, 9.0), (2, 3, 9.0), (1, 2, 1.0)]
    assert clusters([*strong, (0, 2, -4.0), (0, 3, -4.0), (1, 3, -4.0)]) == [0, 0, 2, 2]
    assert clusters([*strong, (0, 2, 2.0), (0, 3, 1.0), (1, 3, 1.0)]) == [0, 0, 0, 0]


def test_who_must_not_be_together_is_not_joined_by_others_either() -> None:
    chain = [(0, 1, 9.0), (1, 2, 8.0), (0, 2, -100.0)]
    assert clusters(chain, apart=2) == [0, 0, 2, 3]


def test_who_must_be_together_is_joined_first() -> None:
    assert clusters([(0, 1, 9.0), (1, 2, -9.0), (0, 2, -9.0)], must=1)[1:3] == [1, 1]


def test_pairs_of_a_cluster_that_were_not_compared() -> None:
    cluster = np.array([0, 0, 0, 3])
    i, j = missing_pairs(cluster, np.array([0, 1]), np.array([1, 2]))
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 2)]
