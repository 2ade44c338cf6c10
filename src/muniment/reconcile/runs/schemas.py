"""Runs as clients see them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Meta, Struct

from muniment.jobs.schemas import Job
from muniment.reconcile.matching.linkage.estimate import Plan
from muniment.reconcile.reconciliations.schemas import RunMode, RunStatus


class WantedMode(StrEnum):
    """What a run is to do."""

    AUTO = "auto"
    """Compare the new records only, if nothing else has changed since the last run."""
    FULL = "full"
    INCREMENTAL = "incremental"
    PLAN = "plan"
    """Compare nothing: tell what would be compared, and at what cost."""


class StartRun(Struct, frozen=True, forbid_unknown_fields=True):
    """The run to start."""

    mode: WantedMode = WantedMode.AUTO


class RunError(Struct, frozen=True):
    """Why a run failed."""

    code: str
    detail: str


class ComparedColumns(Struct, frozen=True):
    """Two columns that were compared, and as what."""

    left: str
    right: str
    role: str


class OffsetShown(Struct, frozen=True):
    """Two entries of one dataset that cancel each other."""

    side: str
    row: int
    other_row: int
    confidence: float


class RunCounts(Struct, frozen=True):
    """What a run did to the matches, and how many there are since, by status."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    statuses: dict[str, int] = {}


class RunShown(Struct, frozen=True, kw_only=True):
    """A run in a list."""

    id: UUID
    mode: RunMode
    status: RunStatus
    error: RunError | None
    kind: Annotated[
        str | None, Meta(description="Which stages suited: ledger, linkage or duplicates.")
    ]
    threshold: Annotated[
        float | None, Meta(description="Confidence from which pairs were matched.")
    ]
    counts: RunCounts
    versions: Annotated[
        dict[str, int], Meta(description="Versions of the datasets compared, by side.")
    ]
    rules_version: int | None
    job_id: UUID | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> RunShown:
        """Read the columns that `list_runs` selects."""
        return cls(**_shown_fields(row))


class RunDetail(RunShown, frozen=True, kw_only=True):
    """A run with what it decided on the way."""

    compared: list[ComparedColumns]
    offsets: list[OffsetShown]
    notes: list[str]
    plan: Annotated[Plan | None, Meta(description="Of a run of mode `plan`.")]

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> RunDetail:
        """Read the columns that `get_run` selects."""
        return cls(
            **_shown_fields(row),
            compared=msgspec.convert(row["compared"], list[ComparedColumns]),
            offsets=msgspec.convert(row["offsets"], list[OffsetShown]),
            notes=row["notes"],
            plan=msgspec.convert(row["plan"], Plan | None),
        )


def _shown_fields(row: asyncpg.Record) -> dict[str, Any]:
    code = row["error_code"]
    versions = {**row["versions"]}
    rules_version = versions.pop("rules", None)
    return {
        "id": row["run_id"],
        "mode": row["mode"],
        "status": RunStatus(row["status"]),
        "error": None if code is None else RunError(code, row["error_detail"] or ""),
        "kind": row["kind"],
        "threshold": row["threshold"],
        "counts": msgspec.convert(row["counts"], RunCounts),
        "versions": versions,
        "rules_version": rules_version,
        "job_id": row["job_id"],
        "created_at": row["created_at"],
        "finished_at": row["finished_at"],
    }


class RunPage(Struct, frozen=True):
    """Runs, newest first, and the cursor of those that follow."""

    items: list[RunShown]
    next_cursor: str | None


class Started(Struct, frozen=True):
    """A run, and the job that does it."""

    job: Job
    run: RunShown
