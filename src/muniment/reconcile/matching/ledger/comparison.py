"""Two ledgers side by side: which records may belong together, and what agrees between them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from muniment.reconcile.matching.ledger.amounts import AmountModel
from muniment.reconcile.matching.ledger.claims import NAMED_AT_MOST, Claims
from muniment.reconcile.matching.ledger.names import NamePair, name_pairs, random_pairs, seeds
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.matching.ledger.view import Floats, Ledger, Wanted
from muniment.reconcile.matching.ledger.weights import (
    LAG_EDGES,
    Features,
    Weights,
    first_weights,
    shares,
)
from muniment.reconcile.rules import Rules

EQUAL_AT_MOST = 40
"""Records of the same amount looked at for one record, the nearest in days first."""
NAMED_ALIKE_AT_MOST = 60
MOST_PAIRS = 1_000_000
"""Pairs looked at in all, about a gigabyte: with more records, fewer partners for each are."""
FEWEST = 6
_ALIKE = 0.5


@dataclass(slots=True)
class Comparison:
    """Everything the hypotheses are made from."""

    left: Ledger
    right: Ledger
    claims: Claims
    names: list[NamePair]
    dates: tuple[str, str] | None
    left_days: Floats
    right_days: Floats
    left_amounts: AmountModel
    right_amounts: AmountModel
    scale: int = 2
    """Decimal places of the amounts."""
    rules: Rules = field(default_factory=Rules)
    forbidden: frozenset[tuple[int, int]] = frozenset()
    """Pairs that somebody has rejected."""
    free: tuple[int, int] = (0, 0)
    """Records of each side that are open: a partner is one of so many."""
    sums: dict[tuple[int, ...], tuple[list[tuple[int, ...]], bool]] = field(default_factory=dict)
    """Answers of `sums` by target and pool: the same in every round of learning."""
    _features: dict[tuple[int, int], Features] = field(default_factory=dict)

    @classmethod
    def of(
        cls, left: Ledger, right: Ledger, claims: Claims, wanted: Wanted | None = None
    ) -> Comparison:
        """Choose the columns to compare, unless some are wanted."""
        wanted = wanted or Wanted()
        dates = wanted.dates if wanted.names is not None else date_pair(left, right)
        if dates and not (dates[0] in left.days and dates[1] in right.days):
            dates = None
        none_left, none_right = np.full(len(left), np.nan), np.full(len(right), np.nan)
        return cls(
            left, right, claims, name_pairs(left, right, wanted.names), dates,
            left.days[dates[0]] if dates else none_left,
            right.days[dates[1]] if dates else none_right,
            AmountModel.learn(left.amounts[left.present]),
            AmountModel.learn(right.amounts[right.present]),
            free=(int(left.present.sum()), int(right.present.sum())),
        )  # fmt: skip

    def features(self, i: int, j: int) -> Features:
        """Return what agrees between two records apart from amounts."""
        known = self._features.get((i, j))
        if known is None:
            known = self._features[i, j] = self._compare(i, j)
        return known

    def _compare(self, i: int, j: int) -> Features:
        name, tail, best = -1.0, 1.0, 0.0
        for pair in self.names:
            if not pair.left.words[i] or not pair.right.words[j]:
                continue
            alike = pair.similarity(i, j)
            best = max(best, pair.best(pair.left.words[i]))
            if alike > name:
                name, tail = alike, pair.tail(pair.left.words[i], alike)
        mentioned = self.claims.mentioned.get(i)
        mention = mentioned.get(j, Likeness.none) if mentioned else None
        claim = self.claims.likeness(i, j)
        return Features.of((name, tail, best), self.days(i, j), mention, claim)

    def days(self, i: int, j: int) -> float:
        """Return the left date minus the right date."""
        return float(self.left_days[i] - self.right_days[j])

    def comparable(self, i: int, j: int) -> bool:
        """Whether both have an amount in the same currency, as far as known, and may be paired."""
        if self.forbidden and (i, j) in self.forbidden:
            return False
        ours, theirs = self.left.currency[i], self.right.currency[j]
        if ours and theirs and ours != theirs:
            return False
        return bool(self.left.present[i] and self.right.present[j])

    def first_weights(self) -> Weights:
        """Return weights before anything was learnt."""
        drawn = random_pairs(self.left, self.right, 2_000)
        features = [self.features(i, j) for i, j in drawn]
        cells = max(len(self.claims.mentioned) * len(self.right), 1)
        mentioned = [x for found in self.claims.mentioned.values() for x in found.values()]
        claimed: list[Likeness] = []
        for lines in self.claims.lines.values():
            claimed.extend(level for line in lines for level in line.named.values())
        told = max(sum(map(len, self.claims.lines.values())) * len(self.right), 1)
        return first_weights(
            [f.name if f.name >= 0 else math.nan for f in features],
            [f.days for f in features],
            _chance(mentioned, cells), _chance(claimed, told),
        )  # fmt: skip


def _chance(found: list[Likeness], cells: int) -> Floats:
    """Return the share of all cells at each level of likeness."""
    counts = np.bincount(np.array([*found, 0], dtype=np.int64), minlength=4)[:4].astype(float)
    chance = (counts + 0.5) / (cells + 2.0)
    chance[0] = max(1.0 - chance[1:].sum(), 0.05)
    return chance


def date_pair(left: Ledger, right: Ledger) -> tuple[str, str] | None:
    """Return the two date columns whose difference is least like that of pairs drawn evenly."""
    if not left.days or not right.days:
        return None
    known, drawn = seeds(left, right), random_pairs(left, right, 2_000)
    best: tuple[float, str, str] | None = None
    for one, ours in left.days.items():
        for other, theirs in right.days.items():
            chance = shares(np.array([ours[i] - theirs[j] for i, j in drawn]), LAG_EDGES, None, 0)
            lags = np.array([ours[i] - theirs[j] for i, j in known])
            true = shares(lags, LAG_EDGES, chance, 10.0)
            told = float((true * np.log(true / chance)).sum())
            # A later column has to tell clearly more: with few seeds the order decides.
            if best is None or told > best[0] * 1.1 + 0.02:
                best = (told, one, other)
    assert best is not None
    return best[1], best[2]


def candidates(comparison: Comparison) -> list[list[int]]:
    """Return for each left record the right records it may belong to.

    They have the same amount, are named by a claim or a mention, have a name much alike, or are
    the next two in amount.
    """
    right = comparison.right
    share = max(MOST_PAIRS // max(len(comparison.left), 1), FEWEST)
    limit = min(NAMED_ALIKE_AT_MOST, share)
    same_at_most = min(EQUAL_AT_MOST, share)
    equal: dict[int, list[int]] = defaultdict(list)
    for j, amount in enumerate(right.amounts.tolist()):
        if right.present[j]:
            equal[amount].append(j)
    order = np.argsort(right.amounts, kind="stable")
    ordered = right.amounts[order]
    found: list[list[int]] = []
    for i, amount in enumerate(comparison.left.amounts.tolist()):
        same = equal.get(amount, [])
        if len(same) > same_at_most:
            same = sorted(same, key=lambda j: abs(comparison.days(i, j)))[:same_at_most]
        near = int(np.searchsorted(ordered, amount))
        chosen = dict.fromkeys(same)
        chosen.update(dict.fromkeys(order[max(near - 2, 0) : near + 2].tolist()))
        chosen.update(dict.fromkeys(comparison.claims.mentioned.get(i, {})))
        for line in comparison.claims.lines.get(i, ()):
            chosen.update(dict.fromkeys(line.named))
        chosen.update(dict.fromkeys(_alike(comparison, i, limit)))
        found.append([j for j in chosen if comparison.comparable(i, j)])
    return found


def _alike(comparison: Comparison, i: int, limit: int) -> list[int]:
    """Return the records with a name much like that of a left record, nearest names first."""
    scored: Counter[int] = Counter()
    for pair in comparison.names:
        for score, text in pair.near.get(pair.left.words[i], ()):
            if score < _ALIKE or len(scored) > 4 * limit:
                break
            for j in pair.rows[text]:
                scored[j] = max(scored[j], score)  # type: ignore[assignment]
    if len(scored) <= limit:
        return list(scored)
    days = {j: abs(comparison.days(i, j)) for j in scored}
    far = {j: 1e9 if math.isnan(d) else d for j, d in days.items()}
    return sorted(scored, key=lambda j: (-round(scored[j], 1), far[j]))[:limit]


__all__ = ["NAMED_AT_MOST", "Comparison", "candidates"]
