"""Reconciliations and their rules as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta, Struct, field

from muniment.reconcile.rules import Rules

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Side(StrEnum):
    """What a dataset is to its reconciliation."""

    LEFT = "left"
    """Payments, or any records; alone, it is searched for duplicates."""
    RIGHT = "right"
    EVIDENCE = "evidence"
    """Names records of both sides: a reason for matches, never the truth."""


class DatasetStatus(StrEnum):
    """Where a dataset stands."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    """The last attempt to load it; what was there before it still is."""


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RunMode = Literal["full", "incremental", "plan"]


class DatasetSummary(Struct, frozen=True):
    """A dataset as its reconciliation is shown with it."""

    id: UUID
    side: Side
    name: str
    status: DatasetStatus
    row_count: int
    version: Annotated[int, Meta(description="Counts the loads; 0 before the first.")]


class RunSummary(Struct, frozen=True):
    """A run as its reconciliation is shown with it."""

    id: UUID
    mode: RunMode
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None


class Reconciliation(Struct, frozen=True, kw_only=True):
    """What is matched with what: up to two datasets, one of evidence, and rules."""

    id: UUID
    workspace_id: UUID
    name: str
    rules_version: int
    datasets: list[DatasetSummary]
    last_run: RunSummary | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Reconciliation:
        """Read the columns that `list_reconciliations` selects."""
        return cls(
            id=row["reconciliation_id"],
            workspace_id=row["workspace_id"],
            name=row["name"],
            rules_version=row["rules_version"],
            datasets=msgspec.convert(row["datasets"], list[DatasetSummary]),
            last_run=msgspec.convert(row["last_run"], RunSummary | None),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )


class ReconciliationPage(Struct, frozen=True):
    """Reconciliations, newest first, and the cursor of those that follow."""

    items: list[Reconciliation]
    next_cursor: str | None


class CreateReconciliation(Struct, frozen=True, forbid_unknown_fields=True):
    """A new reconciliation; the rules have defaults that suit most data."""

    name: Name
    workspace_id: UUID | None = None
    rules: Rules = field(default_factory=Rules)


class ChangeReconciliation(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change."""

    name: Name


class RulesShown(Struct, frozen=True):
    """The rules of a reconciliation; `version` counts their changes."""

    version: int
    rules: Rules


class ChangeRules(Struct, frozen=True, forbid_unknown_fields=True):
    """The rules that later runs go by, all of them: what is left out has its default."""

    rules: Rules
    version: Annotated[
        Annotated[int, Meta(ge=1, le=2**31 - 1)] | None,
        Meta(description="As you read it; another one is answered 409."),
    ] = None
