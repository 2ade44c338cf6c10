"""Learning from records that are surely different: the others of the same dataset.

Fields are not independent: restaurants of one hotel share address, phone and town, editions of a
book share title and author, families share a household. Weights that add up count the same
circumstance several times, and where few records have a partner the expectation takes families
for matches. Only pairs known not to match show it. Where a dataset holds each record once, any
two of its own records are such a pair (the "decoys" of target-decoy search in proteomics, Elias
and Gygi 2007), and the most alike among them are the hard cases.
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

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Levels = npt.NDArray[np.int16]

_NEAREST: Final = 3
"""Strangers looked at for each record: the most alike are those that could be mistaken."""

RECORDS: Final = 1_500
"""Records whose strangers are looked at: enough for a coefficient per field."""

_TRUST: Final = 10.0
"""Imagined pairs that say the fields are independent: what is learned must outweigh them."""

_HOPELESS: Final = 15.0
"""Natural log odds so far below nothing that a pair has no say."""

_STEEPEST: Final = 1.25
"""A field may come to count for little more than its own weight, but down to nothing."""


def find_strangers(
    fields: list[FieldPair], columns: list[Column], texts: dict[str, pa.Array], vectors: Matrix
) -> Levels:
    """Return the levels of the most alike pairs within one dataset, shape (pairs, fields).

    Args:
        fields: what is compared between the datasets.
        columns: of each field, this dataset's column.
        texts: this dataset's texts by column.
        vectors: its records.
    """
    size = vectors.shape[0]
    sample = np.linspace(0, size - 1, min(RECORDS, size)).astype(np.int64)
    place, other = nearest(vectors[sample], vectors, count=_NEAREST + 1)
    i, j = sample[place][sample[place] != other], other[sample[place] != other]
    codes = np.unique(np.minimum(i, j) * size + np.maximum(i, j))
    i, j = codes // size, codes % size
    found = np.full((len(codes), len(fields)), -1, np.int16)
    for at, (field, column) in enumerate(zip(fields, columns, strict=True)):
        if column is not WHOLE or field.kind is Kind.RECORD:
            other_column = WHOLE if field.kind is Kind.CONTAINED else column
            same = FieldPair(column, other_column, field.kind, few=False)
            found[:, at] = compare_field(same, texts, texts, i, j).level
    return found


def temper(model: Model, strangers: Levels) -> Model:
    """Return the model with each field's weights multiplied by what they are worth together.

    A logistic regression of the model's own expectation, and of the strangers as sure
    non-matches, on the weights; drawn to 1, which is independence.

    Args:
        model: what was learned from the candidates.
        strangers: levels of pairs that are no matches, shape (pairs, fields).
    """
    if not len(strangers):
        return model
    weights = [np.append(w, 0.0)[strangers[:, at]] for at, w in enumerate(model.by_level)]
    rows = np.vstack([model.weights, np.stack(weights, axis=1)]) * np.log(2)
    wanted = np.concatenate([model.probability, np.zeros(len(strangers))])
    # What is sure either way moves nothing.
    used = (wanted > 1e-4) | (rows.sum(axis=1) > -_HOPELESS)
    rows, wanted = rows[used], wanted[used]
    fields = rows.shape[1]

    def loss(at: Any) -> tuple[float, Floats]:
        margin = rows @ at[:fields] + at[fields]
        value = float(np.logaddexp(0, margin).sum() - wanted @ margin)
        slope = 1 / (1 + np.exp(-np.clip(margin, -500, 500))) - wanted
        gradient = np.concatenate([slope @ rows, [slope.sum()]])
        away = at[:fields] - 1
        gradient[:fields] += 2 * _TRUST * away
        return value + _TRUST * float(away @ away), gradient

    begin = np.concatenate([np.ones(fields), [np.log(model.odds)]])
    bounds = [(0.0, _STEEPEST)] * fields + [(None, None)]
    fitted = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x[:fields]
    by_level = [level * worth for level, worth in zip(model.by_level, fitted, strict=True)]
    return replace(model, weights=model.weights * fitted, by_level=by_level)
