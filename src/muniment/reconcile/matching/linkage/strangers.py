"""Learning from records that are surely different: the others of the same dataset.

Fields are not independent: restaurants of one hotel share address, phone and town, editions of a
book share title and author. Weights that add up count the same circumstance several times, and
only pairs known not to match show how often. Where a dataset holds each record once, any two of
its own records are such a pair (the "decoys" of target-decoy search in proteomics, Elias and
Gygi 2007), and the most alike among them are the hard cases.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import minimize

from muniment.reconcile.columns import Column
from muniment.reconcile.matching.linkage.candidates import nearest
from muniment.reconcile.matching.linkage.comparisons import compare_field
from muniment.reconcile.matching.linkage.fields import WHOLE, FieldPair, Kind
from muniment.reconcile.matching.linkage.model import Model
from muniment.reconcile.matching.linkage.terms import Matrix

Floats = npt.NDArray[np.float64]

_NEAREST: Final = 3
"""Strangers looked at for each record: the most alike are those that could be mistaken."""

_RECORDS: Final = 1_500
"""Records whose strangers are looked at: enough for a coefficient per field."""

_TRUST: Final = 10.0
"""Imagined pairs that say the fields are independent: what is learned must outweigh them."""

_HOPELESS: Final = 15.0
"""Natural log odds so far below nothing that a pair has no say."""

_STEEPEST: Final = 1.25
"""A field may come to count for little more than its own weight, but down to nothing."""


def known_strangers(
    model: Model,
    fields: list[FieldPair],
    columns: list[Column],
    texts: dict[str, pa.Array],
    vectors: Matrix,
) -> Floats:
    """Return the weights of the most alike pairs within one dataset, shape (pairs, fields).

    Args:
        model: gives each level its weight.
        fields: what the model compares.
        columns: of each field, this dataset's column.
        texts: this dataset's texts by column.
        vectors: its records.
    """
    size = vectors.shape[0]
    sample = np.linspace(0, size - 1, min(_RECORDS, size)).astype(np.int64)
    place, other = nearest(vectors[sample], vectors, count=_NEAREST + 1)
    i, j = sample[place][sample[place] != other], other[sample[place] != other]
    codes = np.unique(np.minimum(i, j) * size + np.maximum(i, j))
    i, j = codes // size, codes % size
    found = np.zeros((len(i), len(fields)))
    for at, (field, column) in enumerate(zip(fields, columns, strict=True)):
        if column is WHOLE:
            continue
        other_column = WHOLE if field.kind is Kind.CONTAINED else column
        same = FieldPair(column, other_column, field.kind, few=False)
        level = compare_field(same, texts, texts, i, j).level
        known = level >= 0
        found[known, at] = model.by_level[at][level[known]]
    return found


def temper(model: Model, strangers: Floats) -> Model:
    """Return the model with each field's weights multiplied by what they are worth together.

    A logistic regression of the model's own expectation, and of the strangers as sure
    non-matches, on the weights; drawn to 1, which is independence.
    """
    p = model.probability
    rows = np.vstack([model.weights, model.weights, strangers]) * np.log(2)
    label = np.concatenate([np.ones(len(p)), np.zeros(len(p) + len(strangers))])
    mass = np.concatenate([p, 1 - p, np.ones(len(strangers))])
    # What is sure either way moves nothing.
    used = (mass > 1e-4) & ((label > 0) | (rows.sum(axis=1) > -_HOPELESS))
    rows, label, mass = rows[used], label[used], mass[used]
    fields = rows.shape[1]

    def loss(at: Any) -> tuple[float, Floats]:
        margin = rows @ at[:fields] + at[fields]
        signed = np.where(label > 0, -margin, margin)
        value = float(mass @ np.logaddexp(0, signed))
        slope = mass * np.where(label > 0, -1.0, 1.0) / (1 + np.exp(np.clip(-signed, -500, 500)))
        gradient = np.concatenate([rows.T @ slope, [slope.sum()]])
        away = at[:fields] - 1
        gradient[:fields] += 2 * _TRUST * away
        return value + _TRUST * float(away @ away), gradient

    begin = np.concatenate([np.ones(fields), [np.log(model.odds)]])
    bounds = [(0.0, _STEEPEST)] * fields + [(None, None)]
    fitted = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x[:fields]
    by_level = [level * worth for level, worth in zip(model.by_level, fitted, strict=True)]
    return replace(model, weights=model.weights * fitted, by_level=by_level)
