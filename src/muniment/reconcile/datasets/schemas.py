"""Datasets as clients see and give them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar.datastructures import UploadFile
from msgspec import Meta, Struct

from muniment.jobs.schemas import Job
from muniment.reconcile.columns import Column, Override
from muniment.reconcile.preview import ColumnShown, shown
from muniment.reconcile.reconciliations.schemas import DatasetStatus, Side

DatasetName = Annotated[str, Meta(min_length=1, max_length=1000)]
ColumnName = Annotated[str, Meta(min_length=1, max_length=1000)]


class LoadFault(Struct, frozen=True):
    """Where a file is wrong."""

    detail: str
    row: Annotated[int | None, Meta(description="1-based record; 0 is the header.")] = None
    column: str | None = None
    line: Annotated[int | None, Meta(description="1-based line, or row of the sheet.")] = None


class LoadError(Struct, frozen=True):
    """Why the last attempt to load a dataset failed."""

    code: str
    detail: str


class Part(Struct, frozen=True):
    """A file, query, document or source that a dataset is made of."""

    ordinal: int
    kind: Literal["upload", "query", "document", "source"]
    name: str
    size_bytes: int
    loaded: Annotated[bool, Meta(description="Its records are in the dataset.")]
    created_at: datetime


class ReadOptions(Struct, frozen=True, omit_defaults=True):
    """How a file is read; what is None is decided from the file."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None


class DatasetShown(Struct, frozen=True, kw_only=True):
    """A dataset, without its columns."""

    id: UUID
    side: Side
    name: str
    status: DatasetStatus
    error: LoadError | None
    row_count: int
    version: Annotated[int, Meta(description="Counts the loads; 0 before the first.")]
    job_id: UUID | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> DatasetShown:
        """Read the columns that the statements of this room select."""
        return cls(**_shown_fields(row))


class DatasetDetail(DatasetShown, frozen=True, kw_only=True):
    """A dataset with what was inferred of its columns, and why."""

    faults: list[LoadFault]
    notes: list[str]
    columns: list[ColumnShown]
    overrides: dict[str, Override]
    parts: list[Part]

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> DatasetDetail:
        """Read the columns that `get_dataset` selects."""
        return cls(
            **_shown_fields(row),
            faults=msgspec.convert(row["faults"], list[LoadFault]),
            notes=row["notes"],
            columns=[shown(one) for one in columns_of(row)],
            overrides=msgspec.convert(row["overrides"], dict[str, Override]),
            parts=msgspec.convert(row["parts"], list[Part]),
        )


def columns_of(row: asyncpg.Record) -> list[Column]:
    """Return the columns of a dataset as they were stored."""
    return msgspec.convert(row["columns"], list[Column])


def _shown_fields(row: asyncpg.Record) -> dict[str, Any]:
    code = row["error_code"]
    return {
        "id": row["dataset_id"],
        "side": Side(row["side"]),
        "name": row["name"],
        "status": DatasetStatus(row["status"]),
        "error": None if code is None else LoadError(code, row["error_detail"] or ""),
        "row_count": row["row_count"],
        "version": row["version"],
        "job_id": row["job_id"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


class DatasetList(Struct, frozen=True):
    """The datasets of a reconciliation, three at most."""

    items: list[DatasetShown]
    next_cursor: None = None


class Loading(Struct, frozen=True):
    """A dataset that is about to be loaded, and the job that does it."""

    job: Job
    dataset: DatasetShown


class Rows(Struct, frozen=True):
    """The first records of a dataset."""

    originals: Annotated[
        list[dict[str, str | None]], Meta(description="As they stand in the source.")
    ] = []
    cleaned: Annotated[
        list[dict[str, Any]], Meta(description="The same, typed; dates and amounts as text.")
    ] = []


class FileForm(Struct):
    """The parts of an upload."""

    file: UploadFile
    side: Side
    name: DatasetName | None = None
    append: bool = False
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] | None = None
    encoding: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    sheet: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class GiveQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Records that a query returns, from a database that the operator has set up."""

    side: Side
    connection: Annotated[str, Meta(min_length=1, max_length=200)]
    sql: Annotated[str, Meta(min_length=1, max_length=100_000)]
    name: DatasetName | None = None
    append: bool = False


class GiveDocuments(Struct, frozen=True, forbid_unknown_fields=True):
    """Records from documents: the table of one, or one record for each document of a source."""

    side: Side
    document_id: UUID | None = None
    source_id: UUID | None = None
    name: DatasetName | None = None
    append: bool = False


class ChangeColumns(Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody decides of columns, by name; null leaves a column to the inference again."""

    columns: Annotated[dict[ColumnName, Override | None], Meta(min_length=1, max_length=10_000)]
