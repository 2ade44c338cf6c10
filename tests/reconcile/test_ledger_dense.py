"""Books that say little: deposits of crowded days, and amounts of which few are different."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import pytest

from muniment.reconcile.matching.ledger.reconcile import reconcile_ledgers
from muniment.reconcile.matching.ledger.signs import amounts_of
from muniment.reconcile.matching.ledger.sums import POOL, Few, subsets
from muniment.reconcile.matching.match import MatchStatus
from tests.reconcile.ledger_tables import PARTIES, Row, ledger


def test_few_of_many_amounts_are_found_as_all_subsets_are() -> None:
    draw = random.Random(1)
    amounts = [draw.randrange(100, 5_000) for _ in range(POOL - 6)]
    few = Few(amounts)
    for size in (2, 3, 5, 2 * few.most):
        target = sum(draw.sample(amounts, size))
        every = {
            answer
            for length in range(2, 2 * few.most + 1)
            for answer in itertools.combinations(range(len(amounts)), length)
            if length <= 3 and sum(amounts[k] for k in answer) == target
        }
        found, _ = few.subsets(target)
        assert every <= set(found)
        assert all(sum(amounts[k] for k in answer) == target for answer in found)
        assert len(set(found)) == len(found)
        assert (size <= 3) <= bool(set(found) & set(subsets(amounts, target)[0]))


def test_a_sum_of_six_among_fifty_is_found_and_of_round_ones_too_many_are_not() -> None:
    draw = random.Random(2)
    amounts = [draw.randrange(10**6, 10**9) for _ in range(50)]
    members = tuple(sorted(draw.sample(range(50), 6)))
    assert Few(amounts).subsets(sum(amounts[k] for k in members)) == ([members], False)
    found, more = Few([500 * (1 + k % 3) for k in range(50)]).subsets(6_000)
    assert more
    assert all(len(answer) > 1 for answer in found)


def crowded(seed: int) -> tuple[list[Row], list[Row], set[tuple[int, int]]]:
    """Return named payments, and on each of ten days three deposits of cheques of three days."""
    draw = random.Random(seed)
    left: list[Row] = []
    right: list[Row] = []
    true: set[tuple[int, int]] = set()

    def book(day: int) -> tuple[int, int]:
        amount = draw.randrange(10_000, 900_000)
        right.append((f"{4000 + len(right)}/X", day, draw.choice(PARTIES), f"{amount / 100:.2f}"))
        return len(right), amount

    for day in range(10):
        for size in (2, 3, 4):
            members = [book(day - draw.randrange(3)) for _ in range(size)]
            total = sum(amount for _, amount in members)
            left.append((f"p{len(left)}", day + 2, "DEPOSIT", f"{total / 100:.2f}"))
            true |= {(len(left), at) for at, _ in members}
        for _ in range(6):
            at, amount = book(day)
            late = day + draw.randrange(5)
            left.append((f"p{len(left)}", late, right[-1][2].upper(), f"{amount / 100:.2f}"))
            true.add((len(left), at))
    return left, right, true


def test_deposits_of_crowded_days_are_told_apart() -> None:
    left, right, true = crowded(3)
    outcome = reconcile_ledgers(ledger("bank", left), ledger("book", right))
    found = {(m.left_row, m.right_row) for m in outcome.matches if m.status is MatchStatus.MATCHED}
    members: dict[int, set[int]] = defaultdict(set)
    for i, j in true:
        members[i].add(j)
    deposits = [i for i, js in members.items() if len(js) > 1]
    whole = sum(all((i, j) in found for j in members[i]) for i in deposits)
    assert len(found & true) >= 0.95 * len(found)
    assert whole >= 0.95 * len(deposits)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_sign_of_few_different_amounts_is_told_by_the_words(seed: int, turned: bool) -> None:
    draw = random.Random(seed)
    left: list[Row] = []
    right: list[Row] = []
    for k in range(60):
        amount = draw.choice([-1, 1]) * draw.choice([250, 500, 1000])
        party = draw.choice(PARTIES)
        left.append((f"p{k}", 20 + k, party.upper(), str(amount)))
        right.append((f"{4000 + k}/X", 18 + k, party, str(-amount if turned else amount)))
        # What is on one side only, as often of the other sign.
        stray = str(amount if turned else -amount)
        right.append((f"{5000 + k}/X", 18 + k, "Kiosk", stray))
    ours, theirs = amounts_of(ledger("a", left), ledger("b", right), 2)
    assert ours.values.tolist() == theirs.values.tolist()[::2]
