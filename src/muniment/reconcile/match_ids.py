"""Ids of matches: the same for the same two records in every run."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

_VERSION = 0x8 << 76
_VARIANT = 0x2 << 62
_FREE = ~((0xF << 76) | (0x3 << 62))


def match_id(reconciliation_id: UUID, left_record_id: UUID, right_record_id: UUID) -> UUID:
    """Return the id of the match of two records, a UUID of version 8 (RFC 9562).

    Of one dataset give the smaller record id first, see `in_order`.
    """
    told = reconciliation_id.bytes + left_record_id.bytes + right_record_id.bytes
    number = int.from_bytes(sha256(told).digest()[:16], "big")
    return UUID(int=number & _FREE | _VERSION | _VARIANT)


def in_order(one: UUID, other: UUID) -> tuple[UUID, UUID]:
    """Return two records of one dataset as a match holds them: the smaller id on the left.

    Rows change with every new order of a file, ids do not: so a decision on a pair stays with it.
    """
    return (one, other) if one.int <= other.int else (other, one)
