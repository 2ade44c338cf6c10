"""Deposits: a record that names nobody and holds what several others of a few days add up to.

Whoever carries cheques to the bank carries those of the last days, so the members of a deposit
are chosen among the open records of a few neighbouring days, not among all: there are far fewer
such choices, and a sum of them says more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    Part,
    combinations_log,
    rate,
    sum_weight,
)
from muniment.reconcile.matching.ledger.signs import Ints
from muniment.reconcile.matching.ledger.sums import POOL, Few, subsets
from muniment.reconcile.matching.ledger.view import Floats
from muniment.reconcile.matching.ledger.weights import LAG_EDGES, TELLING, Weights

SPAN = 3
"""Days between the first and the last member: a long weekend."""
LARGEST = 200
"""Open records of one window, of which subsets of four members are searched; of fewer, of more."""
SEARCHES = 3_000.0
"""Windows of days searched in all, about four seconds; of further ones it is said."""
_SMALL = 0.1
"""What a window of at most `POOL` records counts as one."""
SIZES = 12
"""How many cheques a deposit may well have: any number of them is as likely."""
_ROUNDS = 12
_HOPELESS = -7.0
"""Log odds of one in a thousand, which no other deposits make likely."""
_TAKEN = 0.9
"""How surely a record is in another deposit at most, before that is decided."""


@dataclass(slots=True)
class _Search:
    """What the windows of one pass are made from."""

    comparison: Comparison
    weights: Weights
    dated: list[int]
    """Open right records in the order of their days."""
    days: Floats
    """Of those."""
    different: int
    """Days, each counted once."""
    sums: dict[tuple[int, int, bool], tuple[list[int], Few | None]] = field(default_factory=dict)
    """By window and sign: its records, and their sums where they are too many for all."""
    about: dict[tuple[int, tuple[int, ...]], list[int]] = field(default_factory=dict)
    """By a sum the records of its days, its members among them."""


def deposits(
    comparison: Comparison, ours: Sequence[int], theirs: Sequence[int], weights: Weights
) -> tuple[list[Hypothesis], int]:
    """Return the sums of open right records of neighbouring days, and how many were bounded.

    Args:
        comparison: with shares counted among open records.
        ours: open left records.
        theirs: open right records.
        weights: tell which days between are usual.
    """
    if comparison.dates is None or not theirs:
        return [], 0
    days = comparison.right_days[list(theirs)]
    order = np.argsort(days, kind="stable")
    dated = [theirs[k] for k in order if not math.isnan(days[k])]
    ordered = comparison.right_days[dated]
    search = _Search(comparison, weights, dated, ordered, len(np.unique(ordered)))
    unnamed = [i for i in ours if _unnamed(comparison, i, dated)]
    found: list[Hypothesis] = []
    bounded = 0
    left = SEARCHES
    for i in unnamed:
        windows = _windows(search, i)
        cost = sum(1.0 if high - low > POOL else _SMALL for low, high in windows)
        if cost > left:
            bounded += 1
            continue
        left -= cost
        seen: set[tuple[int, ...]] = set()
        for window in windows:
            found.extend(_in_window(search, i, window, seen))
    return _together(search, found, len(unnamed)), bounded


def _together(search: _Search, sums: list[Hypothesis], total: int) -> list[Hypothesis]:
    """Return the sums that are not hopeless, rated by what all together say of each other.

    Deposits of one day are mixed up with those of the next, so two things are learnt from all
    (expectation maximisation, with a mean field for what takes which record). How many of the
    records that name nobody are deposits: in books that have deposits at all, more of these than
    of all records. And how many records the members of one were chosen from: those that are
    probably in another deposit were none of them.
    """
    base = search.weights.shape["group"] / search.weights.unsettled
    plain = [
        min(rate(hypothesis, search.comparison, search.weights), 50.0) - math.log(base)
        for hypothesis in sums
    ]
    of_left: dict[int, list[int]] = defaultdict(list)
    for k, hypothesis in enumerate(sums):
        if plain[k] > _HOPELESS:
            of_left[hypothesis.lefts[0]].append(k)
    rights = [np.array(h.rights, dtype=np.int64) for h in sums]
    about = [np.array(search.about[h.lefts[0], h.rights], dtype=np.int64) for h in sums]
    prior, gains, chances = base, [0.0] * len(sums), [0.0] * len(sums)
    for _ in range(_ROUNDS):
        taken = np.zeros(len(search.comparison.right))
        for ks in of_left.values():
            odds = [prior * math.exp(plain[k] + gains[k]) for k in ks]
            whole = 1.0 + sum(odds)
            for k, own in zip(ks, odds, strict=True):
                chances[k] = own / whole
                taken[rights[k]] += chances[k]
        expected = sum(chances)
        prior = (expected + base / (1.0 + base)) / (total - expected + 1.0 / (1.0 + base))
        for ks in of_left.values():
            _gain(ks, (rights, about), (taken, chances, gains))
    kept: list[Hypothesis] = []
    for hypothesis, worth, gain in zip(sums, plain, gains, strict=True):
        hypothesis.constant += gain
        if worth + gain > _HOPELESS:
            kept.append(hypothesis)
    return kept


def _gain(
    ks: list[int],
    records: tuple[list[Ints], list[Ints]],
    learnt: tuple[Floats, list[float], list[float]],
) -> None:
    """Write down for the sums of one left record how much fewer the choices of each were.

    Args:
        ks: which of the sums are of this record.
        records: by sum its members, and what they were chosen from.
        learnt: how probably each right record is in a deposit, by sum how probably it is true,
            and the gains, which are changed.
    """
    rights, about = records
    taken, chances, gains = learnt
    others = taken.copy()
    for k in ks:
        others[rights[k]] -= chances[k]
    free = 1.0 - np.clip(others, 0.0, _TAKEN)
    for k in ks:
        size = len(rights[k])
        # The members themselves are free if the sum is true, which is as likely as they are.
        members = free[rights[k]]
        still = float(free[about[k]].sum()) + size - float(members.sum())
        gains[k] = combinations_log(len(about[k]), size) - combinations_log(still, size)
        gains[k] += float(np.log(members).sum())


def _unnamed(comparison: Comparison, i: int, theirs: Sequence[int]) -> bool:
    """Whether no right record has a name like that of a left one."""
    if not theirs or math.isnan(comparison.left_days[i]):
        return False
    features = comparison.features(i, theirs[0])
    return features.name < 0 or features.best_level < TELLING


def _windows(search: _Search, i: int) -> list[tuple[int, int]]:
    """Return from where to where open records are few days apart and of usual days.

    From each day on the most days that can be searched for some subsets, and for all of them.
    """
    span = min(search.comparison.rules.grouping.days or SPAN, SPAN)
    lags = search.weights.lags()
    found: dict[tuple[int, int], None] = {}
    last = dict.fromkeys((POOL, LARGEST), 0)
    for day in np.unique(search.days).tolist():
        lag = search.comparison.left_days[i] - day
        if lags[np.searchsorted(LAG_EDGES, lag, side="right")] < 0:
            continue
        ends = [day, *(day + k + 0.5 for k in range(span + 1))]
        low, *highs = np.searchsorted(search.days, ends).tolist()
        for most in last:
            high = max((h for h in highs if h - low <= most), default=low)
            if high - low > 1 and high > last[most]:
                found[low, high] = None
                last[most] = high
    return list(found)


def _answers(
    search: _Search, i: int, window: tuple[int, int]
) -> tuple[list[int], list[tuple[int, ...]]]:
    """Return the records of a window that may be in a sum, and the sums among them."""
    comparison = search.comparison
    target = int(comparison.left.amounts[i])
    amounts = comparison.right.amounts
    key = (*window, target > 0)
    if key not in search.sums:
        pool = [j for j in search.dated[slice(*window)] if amounts[j] * target > 0]
        few = Few([int(amounts[j]) for j in pool]) if len(pool) > POOL else None
        search.sums[key] = pool, few
    pool, few = search.sums[key]
    if few is None:
        pool = [j for j in pool if abs(amounts[j]) < abs(target) and comparison.comparable(i, j)]
        return pool, subsets([int(amounts[j]) for j in pool], target)[0] if len(pool) > 1 else []
    answers, _ = few.subsets(target)
    comparable = {k: comparison.comparable(i, pool[k]) for answer in answers for k in answer}
    return pool, [answer for answer in answers if all(comparable[k] for k in answer)]


def _in_window(
    search: _Search, i: int, window: tuple[int, int], seen: set[tuple[int, ...]]
) -> list[Hypothesis]:
    """Return the sums within one window, each rated by the choices among its own days."""
    comparison, weights = search.comparison, search.weights
    pool, answers = _answers(search, i, window)
    amounts = comparison.right.amounts
    everyone = [int(amounts[j]) for j in pool]
    found: list[Hypothesis] = []
    for answer in answers:
        members = tuple(pool[k] for k in answer)
        if members in seen or len(members) > comparison.rules.grouping.most:
            continue
        seen.add(members)
        first, last = comparison.right_days[members[0]], comparison.right_days[members[-1]]
        about = [j for j in pool if first <= comparison.right_days[j] <= last]
        search.about[i, members] = about
        choices = combinations_log(len(about), len(members))
        choices += math.log(min(len(about), SIZES) * (last - first + 1.0))
        features = [comparison.features(i, j) for j in members]
        lags = [weights.lag(f) for f in features]
        # The days of the whole are one piece of evidence, not one for each member.
        weight = sum_weight([int(amounts[j]) for j in members], everyone)
        # Any day may be the first one.
        tried = math.log(min(window[1] - window[0], search.different))
        constant = weight - choices - tried - sum(lags) + sum(lags) / len(lags)
        parts = tuple(
            Part(i, j, int(amounts[j]), None, 0.0, f.claim)
            for j, f in zip(members, features, strict=True)
        )
        found.append(Hypothesis("group", parts, constant, (i,), members))
    return found
