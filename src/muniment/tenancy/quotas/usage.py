"""What an organization uses, against what its tier allows; nothing here is cached.

Triggers count documents and their bytes in the transaction that changes them, and hold the
organization's row of `usage` from its first change to its end. So a transaction that looks
after its change, and undoes it when it is too much, never lets another one overshoot.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from muniment.db import UnitOfWork, load_statements
from muniment.tenancy.errors import OrganizationNotFound, OrganizationSuspended
from muniment.tenancy.quotas.errors import QuotaExceeded
from muniment.tier_settings import TierName, Tiers

statements = load_statements("muniment.tenancy.quotas")


class Standing(msgspec.Struct, frozen=True):
    """How an organization stands within a transaction."""

    tier: TierName
    suspended: bool
    documents: int
    bytes: int
    """Of originals, as they were imported."""
    documents_before: int
    """As `documents`, before this transaction changed any."""
    bytes_before: int


async def read_standing(work: UnitOfWork) -> Standing:
    """Return what the organization of a transaction uses, in one statement.

    Raises:
        OrganizationNotFound: it was deleted.
    """
    row = await statements.read_usage(work)
    if row is None:
        raise OrganizationNotFound
    return Standing(**dict(row))


async def hold_usage(work: UnitOfWork) -> None:
    """Be the only transaction that changes documents of the organization, until it ends.

    Changing them does this by itself. A transaction calls it first if it locks documents, or
    what belongs to them, before it adds or deletes some: otherwise it and one that came the
    other way round could wait for each other.
    """
    await statements.hold_usage(work)


async def require_room(work: UnitOfWork, tiers: Tiers) -> Standing:
    """Let a transaction pass that added or changed documents, if all fits the tier.

    What does not grow passes, also where the organization is above its limits since its tier
    was lowered. Call it after the change; the boundary rolls back when this raises.

    Raises:
        QuotaExceeded: the transaction must not be committed.
        OrganizationSuspended: nothing is taken in for such an organization.
    """
    standing = await read_standing(work)
    if standing.suspended:
        raise OrganizationSuspended
    tier = tiers.of(standing.tier)
    if _exceeds(standing.documents, standing.documents_before, tier.max_documents):
        raise QuotaExceeded(
            f"The tier {standing.tier} allows {tier.max_documents:,} documents; "
            f"{standing.documents_before:,} are there, and with this there would be "
            f"{standing.documents:,}."
        )
    if _exceeds(standing.bytes, standing.bytes_before, tier.max_bytes):
        raise QuotaExceeded(
            f"The tier {standing.tier} allows {readable(tier.max_bytes or 0)}; "
            f"{readable(standing.bytes_before)} are used, and with this it would be "
            f"{readable(standing.bytes)}."
        )
    return standing


@dataclass(slots=True)
class Room:
    """What an organization may still take in; None is no limit, less than 0 is too much."""

    documents: int | None
    bytes: int | None

    @classmethod
    def of(cls, standing: Standing, tiers: Tiers) -> Room:
        """Return the room of an organization as it stands."""
        tier = tiers.of(standing.tier)
        return cls(
            None if tier.max_documents is None else tier.max_documents - standing.documents,
            None if tier.max_bytes is None else tier.max_bytes - standing.bytes,
        )

    def take(self, documents: int, size: int) -> bool:
        """Take room for documents and bytes (less than 0: give some back), if there is enough."""
        if _lacks(self.documents, documents) or _lacks(self.bytes, size):
            return False
        if self.documents is not None:
            self.documents -= documents
        if self.bytes is not None:
            self.bytes -= size
        return True


class FileLimit(msgspec.Struct, frozen=True):
    """The largest file that an organization may import, and who says so."""

    bytes: int
    tier: TierName | None
    """None when the limit is that of the installation."""

    @classmethod
    def of(cls, tier: TierName, tiers: Tiers, max_upload_bytes: int) -> FileLimit:
        """Return the limit of a tier, or the installation's (`max_upload_bytes`) if smaller."""
        most = tiers.of(tier).max_file_bytes
        if most <= max_upload_bytes:
            return cls(most, tier)
        return cls(max_upload_bytes, None)

    def __str__(self) -> str:
        """Say it in a sentence."""
        if self.tier is None:
            return f"At most {readable(self.bytes)} are imported (MUNIMENT_MAX_UPLOAD_BYTES)."
        return f"In the tier {self.tier} a file may have {readable(self.bytes)}."


def readable(size: int) -> str:
    """Return a number of bytes as people read it, in decimal units as tiers are given."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            digits = f"{size / factor:,.3f}".rstrip("0").rstrip(".")
            return f"{digits} {unit}"
    return f"{size} bytes"


def _lacks(left: int | None, wanted: int) -> bool:
    return left is not None and wanted > 0 and wanted > left


def _exceeds(now: int, before: int, limit: int | None) -> bool:
    return limit is not None and now > limit and now > before
