"""Documents of a source as records: one for each, with what is known of it and how it begins."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from pathlib import Path
from typing import Any, Final

from muniment.reconcile.loading.errors import HeaderOnly
from muniment.reconcile.loading.options import MAX_BYTES
from muniment.reconcile.loading.rows import Fetched, RowFile

COLUMNS: Final = ("document id", "title", "path", "url", "type", "size", "date", "text")
"""Columns of such a dataset, and the keys of the rows it is made from: the id, the title, the
path inside the source, the address, the media type, bytes, the day on which it was changed at its
source, and the converted text."""

TEXT: Final = 4000
"""Characters of a document's text that are kept: its beginning is what tells it from others."""

MAX_DOCUMENTS: Final = 1_000_000

_TABLES: Final = frozenset(
    {
        "text/csv",
        "text/tab-separated-values",
        "application/vnd.ms-excel",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.ms-excel.sheet.binary.macroenabled.12",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.apache.parquet",
        "application/jsonl",
        "application/x-ndjson",
        "application/json",
    }
)
_ENDINGS: Final = frozenset(
    {".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet"}
    | {".jsonl", ".ndjson", ".json"}
)


def is_table(media_type: str | None, name: str) -> bool:
    """Return whether a document may hold records itself: its original is then loaded as a file.

    Give that file to `load` or `load_parts` (`BlobStore.as_file` lends it); whether it really is
    a table is found out there.

    Args:
        media_type: of the original, with or without parameters.
        name: of the file.
    """
    kind = (media_type or "").split(";")[0].strip().lower()
    return kind in _TABLES or Path(name).suffix.lower() in _ENDINGS


async def load_documents(
    rows: AsyncIterable[Mapping[str, Any]],
    target: Path,
    *,
    max_rows: int = MAX_DOCUMENTS,
    max_bytes: int = MAX_BYTES,
) -> Fetched:
    """Write one record for each document to a Parquet file, which `load` reads as a part.

    Args:
        rows: the documents, with `COLUMNS` as keys; a key that is missing is an empty cell.
        target: the file to write; gone again when this fails.
        max_rows, max_bytes: what is loaded at most.

    Raises:
        HeaderOnly: there are no documents.
        DatasetTooLarge: there are too many.
    """
    written = RowFile(
        target, COLUMNS, note="documents of a source", max_rows=max_rows, max_bytes=max_bytes
    )
    async with written:
        async for row in rows:
            # A document may hold zeros, which are no text; they are not what it is about.
            text = (row.get("text") or "")[:TEXT].replace("\0", " ")
            await written.add([*(row.get(name) for name in COLUMNS[:-1]), text or None])
        if not written.rows:
            raise HeaderOnly("There are no documents.", column=COLUMNS[0])
    return written.fetched()
