"""Doubting candidates that look no better than strangers do: where few records have a partner.

Families, series and albums are spread over both datasets. A model that finds few true partners
takes such relatives for matches. But two datasets hold as many related strangers between them, by
the number of pairs, as each holds within itself, where they can be counted: whatever of the good
candidates they explain is no match (the decoys of target-decoy search, Elias and Gygi 2007).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from muniment.reconcile.matching.linkage.assignment import find_good
from muniment.reconcile.matching.linkage.model import Model, Uniqueness
from muniment.reconcile.matching.linkage.strangers import RECORDS

Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int16]

_RELATED: Final = 0.7
"""How frequent good candidates are within the datasets, in proportion to those between, from
which they are relatives. Of n copies on each side, (n - 1) / n as many are within: a half of
twins, two thirds of triplets."""

_BINS: Final = 33
"""Edges of equally many good candidates each, between which they are compared with strangers."""

_PRIOR: Final = 0.5
"""Imagined candidates and strangers, so that no odds are infinite."""

_FEW_STRANGERS: Final = 0.2
"""Share of the candidates explained by strangers below which the model is left as it is."""

_MOST: Final = 0.25
"""Share of all good candidates that strangers must explain before any is doubted: while most have
a partner, relatives lose to it."""

_APART: Final = 2.0
"""Bits by which candidates that are discounted together stay apart at most: rivals among them
keep their order."""


def as_many_within(model: Model, strangers: list[Levels], sizes: tuple[int, int]) -> bool:
    """Return whether good candidates are as frequent within each dataset as between them.

    Then they are relatives, of which there are as many wherever one looks. Of partners there are
    more between: twins on both sides make four pairs between and one within each.

    Args:
        model: what was learned.
        strangers: of the left and of the right dataset, see `find_strangers`.
        sizes: records of the left and of the right dataset.
    """
    good = find_good(model)
    if not good.any():
        return False
    least = float(model.weights.sum(axis=1)[good].min())
    expected = [
        float((_score(model, levels) >= least).sum()) * _stands_for(size, *sizes)
        for levels, size in zip(strangers, sizes, strict=True)
    ]
    return float(np.sqrt(np.prod(expected))) > _RELATED * float(good.sum())


def doubt(
    model: Model, strangers: list[Levels], sizes: tuple[int, int], unique: Uniqueness
) -> Model | None:
    """Return the model with the weights of those candidates lowered that strangers explain.

    Args:
        model: what was learned.
        strangers: of the left and of the right dataset, see `find_strangers`.
        sizes: records of the left and of the right dataset.
        unique: on which sides a record has one partner at most: only then are the records of
            the other side known to be strangers to each other.

    Returns:
        None where strangers explain few of the candidates. The probabilities are still those of
        the model as it was.
    """
    good = find_good(model)
    least = float(model.weights.sum(axis=1)[good].min(initial=np.inf))
    scored = [
        (_score(model, levels), _stands_for(size, *sizes))
        for levels, size, apart in zip(strangers, sizes, (unique.right, unique.left), strict=True)
        if apart
    ]
    if not scored:
        return None
    # Records of one source are written alike, which makes strangers of them look more alike than
    # those of two: the side with fewer is nearer the truth.
    scores, stands_for = min(scored, key=lambda side: float((side[0] >= least).sum()) * side[1])
    return _discount(model, scores, stands_for)


def _score(model: Model, strangers: Levels) -> Floats:
    """Return the sum of the weights of each pair of strangers, as if it were a candidate."""
    found = np.zeros(len(strangers))
    for at, by_level in enumerate(model.by_level):
        found += np.append(by_level, 0.0)[strangers[:, at]]
    return found


def _stands_for(size: int, left: int, right: int) -> float:
    """Return how many pairs of the two datasets one pair of strangers of one dataset stands for.

    Of its size * size / 2 pairs, those are seen that a sampled record is in.
    """
    seen = 1 - (1 - min(RECORDS / max(size, 1), 1.0)) ** 2
    return left * right / (max(size, 1) ** 2 / 2 * seen)


def _discount(model: Model, strangers: Floats, stands_for: float) -> Model | None:
    """Return the model with the good candidates discounted that are as good as mere strangers.

    Two datasets have as many strangers that look related between them as each has within itself,
    by the number of pairs. Where they explain the candidates of some score, these are no matches
    (of the candidates above a score, the share of decoys above it is false; Elias and Gygi 2007).

    Args:
        model: what was learned.
        strangers: sum of weights of pairs that are no matches, see `_score`.
        stands_for: candidates that one of them stands for, see `_stands_for`.

    Returns:
        None where strangers explain next to nothing.
    """
    good = find_good(model)
    score = model.weights.sum(axis=1)
    if not good.any() or not len(strangers):
        return None
    cut = float(score[good].min())
    edges = np.unique(np.quantile(score[good], np.linspace(0, 1, _BINS), method="lower"))
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, None)
    seen: Floats = np.bincount(place[good], minlength=len(edges)).astype(np.float64)
    decoys = strangers[strangers >= cut]
    if len(decoys) * stands_for < _MOST * int(good.sum()):
        return None  # What strangers there are compete with matches, and lose.
    where = np.clip(np.searchsorted(edges, decoys, side="right") - 1, 0, None)
    false = np.asarray(np.bincount(where, minlength=len(edges)) * stands_for, np.float64)
    fitted = isotonic_regression(seen / (seen + false), weights=seen + false)
    block = np.repeat(np.arange(len(fitted.blocks) - 1), np.diff(fitted.blocks))
    seen = np.asarray(np.bincount(block, seen), np.float64)
    false = np.asarray(np.bincount(block, false), np.float64)
    odds = np.maximum(seen - false, _PRIOR) / (false + _PRIOR)
    # Where nearly all are matches, the model knows better than a few strangers.
    held = false < _FEW_STRANGERS * seen
    of_pair = block[place]
    mean = np.bincount(of_pair[good], model.score[good], len(seen)) / np.maximum(seen, 1)
    found = np.log2(odds)[of_pair] + np.clip(model.score - mean[of_pair], -_APART, _APART)
    behind = np.where(held[of_pair], 0.0, np.maximum(model.score - found, 0.0))
    behind[~good] = float(np.max(behind[good & (place == 0)], initial=0.0))
    if not behind.any():
        return None
    total = np.abs(model.weights).sum(axis=1)
    total[total == 0] = 1.0
    weights = model.weights - np.abs(model.weights) * (behind / total)[:, None]
    return replace(model, weights=weights)
