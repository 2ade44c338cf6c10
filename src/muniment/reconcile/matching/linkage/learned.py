"""What a model has learned, apart from the pairs it was learned from: to judge others with it.

A sample of a large dataset teaches the weights for all of its pairs, and a later run judges the
pairs of new records with the weights of the last full one.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.fields import FieldPair
from muniment.reconcile.matching.linkage.level_weights import cells_of
from muniment.reconcile.matching.linkage.model import STRONGEST, Model, Uniqueness

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Texts = dict[str, pa.Array]

_VERSION: Final = 1
"""Of the serialised form and of what levels mean: raised when either changes."""

_FAR: Final = 60.0
"""Largest sum of what speaks for a related pair (base 2)."""


class FieldWeights(msgspec.Struct, frozen=True):
    """What one pair of fields has been found to say."""

    left: str
    right: str
    kind: str
    few: bool
    levels: list[float]
    """Base-2 log likelihood ratio of each level, of a match to an unrelated pair."""
    relation: list[float] = []
    """The same of a related pair to an unrelated one, where the two are told apart."""
    cells: list[tuple[str, str, float]] = []
    """Of pairs of values, where few are possible."""


class Learned(msgspec.Struct, frozen=True):
    """Weights of all fields and what holds for pairs as such."""

    version: int
    fields: list[FieldWeights]
    odds: float
    """Of a candidate pair before its fields are seen, see `Model.odds`."""
    unique_left: bool
    unique_right: bool
    threshold: float
    share: float = 0.0
    """Of the pairs that do not match, how many are related."""

    @property
    def unique(self) -> Uniqueness:
        """Return on which sides a record has one partner at most."""
        return Uniqueness(left=self.unique_left, right=self.unique_right)

    def is_about(self, fields: list[FieldPair]) -> bool:
        """Return whether these are the fields that it was learned from."""
        return [(f.left, f.right, f.kind, f.few) for f in self.fields] == [
            (f.left.name, f.right.name, f.kind.name, f.few) for f in fields
        ]


def remember(
    model: Model,
    compared: list[Compared],
    sides: tuple[Texts, Texts],
    pairs: tuple[Rows, Rows],
    *,
    unique: Uniqueness,
    threshold: float = 0.5,
) -> Learned:
    """Return what a model has learned from these pairs.

    Args:
        model: learned from `compared`.
        compared: levels of every field.
        sides: texts of the left and of the right dataset by column.
        pairs: left and right record of each pair, from 0.
        unique: on which sides a record has one partner at most.
        threshold: probability from which a pair is a match.
    """
    relation = model.relation or [np.zeros(field.levels) for field in compared]
    odds_of_related = np.exp2(np.clip(_sum_of(compared, relation), -_FAR, _FAR)) * model.share
    rest = (1 - model.probability) * (1 - model.share) / (1 - model.share + odds_of_related)
    weights = []
    for place, field in enumerate(compared):
        cells: list[tuple[str, str, float]] = []
        by_level = model.by_level[place].tolist()
        if field.cell is not None and not model.total:
            alike = _by_level(by_level, field).astype(np.float64)
            weight = cells_of(field.cell).weigh(alike, model.probability, rest)
            first, _ = _cells(field)
            mine, theirs = _cell_values(field, sides, (pairs[0][first], pairs[1][first]))
            said = np.clip(weight[first], -STRONGEST, STRONGEST).tolist()
            cells = list(zip(mine, theirs, said, strict=True))
        pair = field.fields
        weights.append(
            FieldWeights(
                pair.left.name,
                pair.right.name,
                pair.kind.name,
                pair.few,
                by_level,
                relation[place].tolist(),
                cells,
            )
        )
    return Learned(
        _VERSION,
        weights,
        float(model.odds),
        unique.left,
        unique.right,
        threshold,
        model.share if model.relation else 0.0,
    )


def weigh_pairs(
    learned: Learned, compared: list[Compared], sides: tuple[Texts, Texts], pairs: tuple[Rows, Rows]
) -> npt.NDArray[np.float32]:
    """Return the weight of each field of each pair, shape (pairs, fields).

    A pair of values that was not seen before weighs what its likeness does. What speaks for a
    related pair is taken off the weights in proportion to their size, as `learn` does.
    """
    found = np.zeros((len(pairs[0]), len(compared)), np.float32)
    for place, (field, known) in enumerate(zip(compared, learned.fields, strict=True)):
        found[:, place] = _by_level(known.levels, field)
        if field.cell is not None and known.cells:
            _put_cells(found[:, place], field, known, sides, pairs)
    if learned.share:
        relation = [np.asarray(known.relation) for known in learned.fields]
        claim = np.exp2(np.clip(_sum_of(compared, relation), -_FAR, _FAR)) * learned.share
        behind = np.log2(1 - learned.share + claim)
        total = np.abs(found).sum(axis=1, dtype=np.float64)
        total[total == 0] = 1
        found -= np.abs(found) * (behind / total).astype(np.float32)[:, None]
    return found


def _sum_of(compared: list[Compared], by_level: list[Floats]) -> Floats:
    """Return the sum of the entries of each pair's levels; a missing value adds nothing."""
    found = np.zeros(len(compared[0].level))
    for field, weights in zip(compared, by_level, strict=True):
        found += np.append(weights, 0.0)[field.level]
    return found


def _by_level(weights: list[float], field: Compared) -> npt.NDArray[np.float32]:
    """Return the weight of each pair's level.

    The place after the last level is that of missing values (-1), which say nothing.
    """
    return np.append(np.asarray(weights, np.float32), np.float32(0))[field.level]


def _put_cells(
    weights: npt.NDArray[np.float32],
    field: Compared,
    known: FieldWeights,
    sides: tuple[Texts, Texts],
    pairs: tuple[Rows, Rows],
) -> None:
    """Put the weights of pairs of values in place of those of their likeness."""
    first, code = _cells(field)
    mine, theirs = _cell_values(field, sides, (pairs[0][first], pairs[1][first]))
    seen = {(a, b): weight for a, b, weight in known.cells}
    here = [seen.get(values, np.nan) for values in zip(mine, theirs, strict=True)]
    weight = np.append(np.asarray(here, np.float32), np.float32(np.nan))[code]
    weights[:] = np.where(np.isnan(weight), weights, weight)


def read_model(model: bytes | None) -> Learned | None:
    """Return a saved model, or None if there is none that this version can read."""
    if model is None:
        return None
    try:
        learned = msgspec.json.decode(model, type=Learned)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return learned if learned.version == _VERSION else None


def write_model(learned: Learned) -> bytes:
    """Return it as `Outcome.model` holds it."""
    return msgspec.json.encode(learned)


def _cells(field: Compared) -> tuple[Rows, Rows]:
    """Return one pair for each pair of values that occurs, and each pair's place among those.

    Pairs with a missing value have the place -1.
    """
    assert field.cell is not None
    there = np.flatnonzero(field.level >= 0)
    _, first, code = np.unique(field.cell[there], return_index=True, return_inverse=True)
    places = np.full(len(field.cell), -1, np.int64)
    places[there] = code
    return there[first], places


def _cell_values(
    field: Compared, sides: tuple[Texts, Texts], pairs: tuple[Rows, Rows]
) -> tuple[list[str], list[str]]:
    columns = (field.fields.left.name, field.fields.right.name)
    mine, theirs = (
        side[name].take(pa.array(rows)).to_pylist()
        for side, name, rows in zip(sides, columns, pairs, strict=True)
    )
    return mine, theirs
