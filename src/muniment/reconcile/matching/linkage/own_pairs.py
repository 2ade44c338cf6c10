"""The pairs of one dataset that are worth comparing, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage.candidates import (
    Pairs,
    joined,
    nearest,
    record_vectors,
    sharing,
    union,
)
from muniment.reconcile.matching.linkage.comparisons import Compared, compare_field
from muniment.reconcile.matching.linkage.decided import Decided, decisions
from muniment.reconcile.matching.linkage.fields import (
    CATEGORIES,
    WHOLE,
    FieldPair,
    Kind,
    comparable_text,
    kind_of,
)
from muniment.reconcile.matching.linkage.incremental import Again, new_own_pairs
from muniment.reconcile.matching.linkage.keys import Keyed, among, find_keyed
from muniment.reconcile.matching.linkage.model import STRONGEST
from muniment.reconcile.matching.linkage.sides import Side, column_of
from muniment.reconcile.matching.match import Progress
from muniment.reconcile.rules import Rules

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Candidates:
    """Pairs of records, as positions from 0, the smaller first; arrays are by pair."""

    i: Rows
    j: Rows
    known: Floats
    """Base-2 log odds that decisions and keys give them."""
    exact: Flags
    """Whether they share a key."""
    settled: Floats | None = None
    """Base-2 log odds that an earlier run has found, NaN for pairs that it did not judge."""


def own_fields(dataset: Dataset, rules: Rules = Rules()) -> tuple[list[FieldPair], Side | None]:
    """Return what is compared, and the dataset ready for it; None if there is nothing.

    Raises:
        NoSuchColumn: the rules name a column that is not there.
    """
    if rules.compare:
        columns = [
            replace(found, role=told.role or found.role)
            for told in rules.compare
            for found in [column_of(dataset, told.left)]
        ]
    else:
        # What names the records is different for each, whether or not they are the same.
        columns = [c for c in dataset.columns if c.role is not Role.identifier and c.filled]
    if not columns:
        return [], None
    texts = {c.name: comparable_text(dataset, c) for c in columns}
    fields = [FieldPair(c, c, kind_of(c), c.distinct <= CATEGORIES) for c in columns]
    whole = [joined(list(texts.values()))]
    vectors, _ = record_vectors(whole, whole)
    return fields, Side(texts | {WHOLE.name: whole[0]}, vectors)


def own_candidates(
    dataset: Dataset,
    fields: list[FieldPair],
    side: Side,
    rules: Rules,
    given: Given,
    *,
    again: Again | None = None,
) -> Candidates:
    """Return the pairs worth comparing.

    The nearest of each record, those that share a code or a key, records that are equal in
    everything, and those that people have decided about. Of an incremental run (`again`) only
    the pairs of new records, and those that the last run has shown.
    """
    size = dataset.rows
    if again is None:
        near = _all_pairs(fields, side)
    else:
        first, repeats = _repeated(side.texts[WHOLE.name])
        copies = again.of_new([(first[repeats], np.flatnonzero(repeats))])
        near = union([new_own_pairs(again, fields, side), *copies], size)
    keyed = find_keyed(dataset, dataset, fields, (side.texts, side.texts), rules)
    decided = decisions(given, dataset, dataset)
    decided = Decided(_ordered(decided.accepted), _ordered(decided.rejected))
    keyed = Keyed([_ordered(p) for p in keyed.told], [_ordered(p) for p in keyed.seen])
    sharing_a_key = keyed.pairs if again is None else again.of_new(keyed.pairs)
    i, j = union([_ordered(near), decided.accepted, *sharing_a_key], size)
    i, j = i[i != j], j[i != j]
    known = decided.known(i, j, size)
    told = among(keyed.told, i, j, size)
    known[told & (known == 0)] = STRONGEST
    settled = None if again is None else again.score(i, j, size)
    return Candidates(i, j, known, told | among(keyed.seen, i, j, size), settled)


def _all_pairs(fields: list[FieldPair], side: Side) -> Pairs:
    size = side.vectors.shape[0]
    first, again = _repeated(side.texts[WHOLE.name])
    distinct = np.flatnonzero(~again)
    vectors = side.vectors if len(distinct) == size else side.vectors[distinct]
    near = nearest(vectors, vectors)
    found = [(distinct[near[0]], distinct[near[1]]), (first[again], np.flatnonzero(again))]
    found += [
        _among_distinct(sharing(side.texts[f.left.name], side.texts[f.left.name]), again)
        for f in fields
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
    ]
    return union([_ordered(pairs) for pairs in found], size)


def distinct_records(side: Side) -> tuple[Side, Rows]:
    """Return the records without copies that are equal in everything, and which each one is.

    A value is not common for standing in many copies of one record.
    """
    first, again = _repeated(side.texts[WHOLE.name])
    kept = np.flatnonzero(~again)
    if len(kept) == len(again):
        return side, kept
    place = np.cumsum(~again) - 1
    rows = pa.array(kept)
    texts = {name: values.take(rows) for name, values in side.texts.items()}
    return Side(texts, side.vectors[kept]), place[first]


def compare_all(
    fields: list[FieldPair], side: Side, pairs: Pairs, tell: Progress
) -> list[Compared]:
    """Return the levels of every field over these pairs of one dataset."""
    compared = []
    for place, field in enumerate(fields):
        tell("comparisons", 0.3 + 0.4 * place / len(fields))
        compared.append(compare_field(field, side.texts, side.texts, *pairs))
    return compared


def _repeated(whole: pa.Array) -> tuple[Rows, Flags]:
    """Return for each record the first that is equal in everything, and whether that is another.

    They are compared with their first only: the nearest of a record would all be its copies.
    """
    codes = np.asarray(pc.dictionary_encode(whole).indices, np.int64)
    _, first = np.unique(codes, return_index=True)
    return first[codes], first[codes] != np.arange(len(codes))


def _among_distinct(pairs: Pairs, again: Flags) -> Pairs:
    kept = ~(again[pairs[0]] | again[pairs[1]])
    return pairs[0][kept], pairs[1][kept]


def _ordered(pairs: Pairs) -> Pairs:
    """Return the pairs with the smaller record first."""
    return np.minimum(*pairs), np.maximum(*pairs)
