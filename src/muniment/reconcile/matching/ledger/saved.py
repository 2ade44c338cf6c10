"""What a run of ledgers has learnt, as bytes for a later run of only the new rows."""

from __future__ import annotations

from dataclasses import fields

import msgspec
import numpy as np

from muniment.reconcile.matching.ledger.amounts import Relation
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.view import Wanted
from muniment.reconcile.matching.ledger.weights import Weights

_VERSION = 1


class Saved(msgspec.Struct, frozen=True):
    """Columns that were compared, and weights of their agreements."""

    version: int
    amounts: tuple[str, str]
    dates: tuple[str, str] | None
    names: list[tuple[str, str]]
    turned: bool
    """The sides were exchanged; columns are named as in the weights, not as they were given."""
    shares: dict[str, list[float]]
    relation: dict[str, float]
    round_share: float
    shape: dict[str, float]
    unsettled: float

    @classmethod
    def of(cls, comparison: Comparison, weights: Weights, *, turned: bool) -> Saved:
        """Take from a run what a later one needs."""
        arrays = {
            f.name: getattr(weights, f.name)
            for f in fields(weights)
            if isinstance(getattr(weights, f.name), np.ndarray)
        }
        return cls(
            _VERSION,
            (comparison.left.amount_name, comparison.right.amount_name),
            comparison.dates,
            [(pair.left.name, pair.right.name) for pair in comparison.names],
            turned,
            {name: values.tolist() for name, values in arrays.items()},
            {str(relation): share for relation, share in weights.relation_m.items()},
            weights.round_m,
            dict(weights.shape),
            weights.unsettled,
        )

    def encode(self) -> bytes:
        """Return the bytes that `decode` reads."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes | None) -> Saved | None:
        """Return what was saved; None if nothing was, or by a version that learnt otherwise."""
        if data is None:
            return None
        try:
            saved = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError:
            return None
        return saved if saved.version == _VERSION else None

    def weights(self) -> Weights:
        """Return the weights."""
        arrays = {name: np.array(values) for name, values in self.shares.items()}
        relation = {Relation(name): share for name, share in self.relation.items()}
        return Weights(
            **arrays, relation_m=relation, round_m=self.round_share, shape=dict(self.shape),
            unsettled=self.unsettled,
        )  # fmt: skip

    def wanted(self) -> Wanted:
        """Return the columns that were compared, by the sides as they were given."""
        found = Wanted(self.amounts, self.dates, tuple(self.names))
        return found.turned() if self.turned else found
