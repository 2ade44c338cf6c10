"""What kind of file this is, told by its first bytes, and its cells as strings in Parquet."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from muniment.reconcile.loading.delimited import blocks, line_of, sniff
from muniment.reconcile.loading.errors import (
    DatasetTooLarge,
    DatasetUnreadable,
    EmptyDataset,
    NotATable,
)
from muniment.reconcile.loading.json_lines import stage_json_lines
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.parquet import stage_parquet
from muniment.reconcile.loading.spreadsheet import OLE, ZIP, open_sheet
from muniment.reconcile.loading.staging import Staged, stage_grid

_MARKUP: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:(?:\?xml|!doctype|html|head|meta|style|body|table|div)\b|!--)",
    re.IGNORECASE,
)
_JSON_START: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*(?:"[^"\n]*"\s*:|\})')
_PARQUET: Final = b"PAR1"
_JSON_SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".json"})


def stage(
    path: Path,
    target: Path,
    options: LoadOptions,
    told: Callable[[float], None] = lambda _share: None,
) -> Staged:
    """Write every cell of a file as it stands there; see `load` for the kinds of files.

    Args:
        path: the file.
        target: the Parquet file to write.
        options: how it is read.
        told: the share of the file that is read, 0 to 1, where it is known on the way.

    Raises:
        DatasetUnreadable: one of its kinds.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise DatasetUnreadable(f"The file cannot be opened: {error.strerror}.") from error
    if size > options.max_bytes:
        raise DatasetTooLarge(
            f"The file has {size:,} bytes, the most that is loaded is {options.max_bytes:,}. "
            "Split it, or give it as Parquet."
        )
    if not head.strip():
        raise EmptyDataset("The file is empty.", row=0)
    if head.startswith(_PARQUET):
        return stage_parquet(path, target)
    if head.startswith((ZIP, OLE)):
        sheet = open_sheet(path, options.sheet)
        return stage_grid(sheet.blocks(), target, line_of=sheet.line_of, notes=sheet.notes)
    if _is_json(path, head, options):
        return stage_json_lines(path, target)
    if b"\0" in head and not _may_be_wide(head):
        raise NotATable("The file is binary data, no table of text.")
    if _MARKUP.match(head):
        raise NotATable(
            "The file is a page of markup (HTML or XML), whatever its name says. Open it in a "
            "spreadsheet program and save it as XLSX or CSV."
        )
    try:
        codecs.lookup(options.encoding or "utf-8")
    except LookupError as error:
        raise DatasetUnreadable(f"There is no encoding “{options.encoding}”.") from error
    dialect = sniff(path, options.delimiter, options.encoding)
    sign = {"\t": "tab"}.get(dialect.delimiter, dialect.delimiter)
    notes = (f"encoding {dialect.encoding}", f"delimiter {sign}")
    return stage_grid(
        blocks(path, dialect, told), target, line_of=partial(line_of, path, dialect), notes=notes
    )


def _may_be_wide(head: bytes) -> bool:
    """Return whether zero bytes may be those of UTF-16 or UTF-32, which is told apart later."""
    zeros = head.count(0)
    return head[:2] in {b"\xff\xfe", b"\xfe\xff"} or zeros * 5 > len(head)


def _is_json(path: Path, head: bytes, options: LoadOptions) -> bool:
    if options.delimiter is not None:
        return False
    if path.suffix.lower() in _JSON_SUFFIXES:
        return True
    return _JSON_START.match(head) is not None
