"""Golden records as clients see and change them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from muniment.reconcile.review.schemas import Side

ColumnName = Annotated[str, Meta(min_length=1, max_length=1000)]
Value = Annotated[str, Meta(max_length=100_000)]


class Member(Struct, frozen=True):
    """A record that a golden record is made of."""

    record_id: UUID
    side: Side
    row: int
    identifier: str | None


class GoldenRecord(Struct, frozen=True):
    """What holds of the records of one cluster, put together from their values."""

    cluster_id: UUID
    values: Annotated[
        dict[str, str | None], Meta(description="By column, as it stands in the source.")
    ]
    sources: Annotated[
        dict[str, UUID], Meta(description="By column the record that its value is from.")
    ]
    manual: Annotated[list[str], Meta(description="Columns whose values people have set.")]
    members: Annotated[
        list[Member], Meta(description="Its records; of more than 200, the first 200.")
    ]


class GoldenRecordPage(Struct, frozen=True):
    """Golden records, and the cursor of those that follow."""

    items: list[GoldenRecord]
    next_cursor: str | None


class ChangeGoldenRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """What to set by hand, and what to leave to the rules again."""

    values: Annotated[dict[ColumnName, Value | None], Meta(max_length=1000)] = field(
        default_factory=dict
    )
    reset: Annotated[list[ColumnName], Meta(max_length=1000)] = field(default_factory=list)
