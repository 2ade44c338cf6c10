"""How a reconciliation is done, as far as somebody wants to say: the rules of its runs.

Everything has a default that suits most data: empty rules are the usual ones.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from muniment.reconcile.columns import Role

Share = Annotated[float, Meta(ge=0, le=1)]
ColumnName = Annotated[str, Meta(min_length=1, max_length=200)]


class Assignment(StrEnum):
    """How many partners a record may have."""

    AUTO = "auto"
    """What the data look like: learned for linkage; sums of several for ledgers."""
    ONE_TO_ONE = "one_to_one"
    MANY = "many"
    """Any number on both sides."""


class Engine(StrEnum):
    """What compares records that no key joins."""

    OWN = "own"
    SPLINK = "splink"
    """Splink with the settings in `splink`: a model that somebody has trained or written."""


class Strategy(StrEnum):
    """Which value of a cluster's records the golden record is given."""

    MOST_COMPLETE = "most_complete"
    """Of the record with the most values; the same record for all columns, if it has them."""
    MOST_RECENT = "most_recent"
    """Of the record that was changed last, by the column `recency`."""
    PREFERRED_SOURCE = "preferred_source"
    """Of the dataset `preferred`, if it has one."""
    LONGEST = "longest"
    MOST_FREQUENT = "most_frequent"


class ComparedColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """Two columns that are about the same thing."""

    left: ColumnName
    right: ColumnName
    role: Role | None = None
    """What both are compared as; None: what was inferred."""


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """Columns that together name the same thing on both sides."""

    left: Annotated[list[ColumnName], Meta(min_length=1, max_length=8)]
    right: Annotated[list[ColumnName], Meta(min_length=1, max_length=8)]


class Tolerance(Struct, frozen=True, forbid_unknown_fields=True):
    """How far amounts and days of records with an equal key may lie apart.

    An amount is near enough within `amount` or within `percent` of the larger one.
    """

    amount: Decimal = Decimal(0)
    percent: Annotated[float, Meta(ge=0, le=100)] = 0.0
    days: Annotated[int, Meta(ge=0, le=3650)] = 0

    def __post_init__(self) -> None:
        """Refuse what msgspec cannot bound: it knows bounds of int and float only."""
        if not (self.amount.is_finite() and self.amount >= 0):
            raise ValueError("`amount` is zero or more")


class Stages(Struct, frozen=True, forbid_unknown_fields=True):
    """Which stages a run goes through, in this order."""

    exact: bool = True
    """Equal keys (and equal amounts, where there are amounts)."""
    tolerance: bool = True
    """Equal keys, amounts and days within the tolerance."""
    grouped: bool = True
    """Sums: one to several, several to one, several to several; fees and offsets."""
    evidence: bool = True
    """What a dataset of evidence names."""
    probabilistic: bool = True
    """Likeness of all columns, weighed by a learned model."""


class Grouping(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of the sums that are sought."""

    most: Annotated[int, Meta(ge=2, le=60)] = 40
    """Records in one sum."""
    days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    """Days between the records of a sum; None: what the data look like."""


class Survivorship(Struct, frozen=True, forbid_unknown_fields=True):
    """Which values a golden record is given."""

    default: Strategy = Strategy.MOST_COMPLETE
    columns: dict[ColumnName, Strategy] = field(default_factory=dict)
    """By column of the golden record (the left name, where two are paired)."""
    preferred: str = "left"
    """Side whose values `preferred_source` takes: left or right."""
    recency: ColumnName | None = None
    """Column of dates that `most_recent` goes by; None: the first column of dates."""


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """How the runs of a reconciliation are done."""

    stages: Stages = Stages()
    compare: Annotated[list[ComparedColumns], Meta(max_length=100)] | None = None
    """Which columns are compared; None: what was inferred."""
    keys: Annotated[list[Key], Meta(max_length=10)] = field(default_factory=list)
    """Tried in order by the stages `exact` and `tolerance`; empty: what the data show."""
    tolerance: Tolerance | None = None
    """None: the stage learns from the data what happens."""
    grouping: Grouping = Grouping()
    assignment: Assignment = Assignment.AUTO
    threshold: Share | None = None
    """Confidence from which a pair is matched; None: where the expected F1 is best."""
    review_from: Share = 0.05
    """Confidence from which a pair is shown for review."""
    engine: Engine = Engine.OWN
    splink: dict[str, Any] | None = None
    """Settings of Splink, trained or not, as its `save_model_to_json` writes them."""
    survivorship: Survivorship = field(default_factory=Survivorship)
