"""Loading a file of records: staged as strings, looked at, cleaned, described."""

from __future__ import annotations

import codecs
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from muniment.reconcile.cleaning.clean import clean, string_batches
from muniment.reconcile.columns import Dataset
from muniment.reconcile.inference.dates import decide_day_orders
from muniment.reconcile.inference.infer import infer
from muniment.reconcile.inference.plan import Override
from muniment.reconcile.inference.profile import profile
from muniment.reconcile.loading.delimited import blocks, line_of, sniff
from muniment.reconcile.loading.errors import (
    DatasetTooLarge,
    DatasetUnreadable,
    EmptyDataset,
    NoSuchColumn,
    NotATable,
)
from muniment.reconcile.loading.json_lines import stage_json_lines
from muniment.reconcile.loading.parquet import stage_parquet
from muniment.reconcile.loading.spreadsheet import OLE, ZIP, open_sheet
from muniment.reconcile.loading.staging import Staged, stage_grid

MAX_BYTES: Final = 2 << 30
"""Size of a file above which it is refused. What is below it is loaded in bounded memory."""

_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|html)\b", re.IGNORECASE)
_JSON_START: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*(?:"[^"\n]*"\s*:|\})')
_PARQUET: Final = b"PAR1"
_JSON_SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".json"})


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a person may decide before a file is loaded. The defaults decide from the file."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    max_bytes: int = MAX_BYTES


def load(
    path: Path | str,
    *,
    name: str | None = None,
    folder: Path | None = None,
    options: LoadOptions | None = None,
) -> Dataset:
    """Load a CSV, TSV, XLSX (XLS, ODS), Parquet or JSON lines file.

    The file is read once into Parquet, some thousand records at a time; the types, roles and
    signs of a column are decided from all of its values, and the cleaned columns are written
    beside the originals. What the file is is told by its first bytes, not by its name.

    Args:
        path: the file.
        name: of the dataset; the file's name by default.
        folder: where the two Parquet files are kept, made if need be; by default a temporary
            folder that goes with the dataset.
        options: delimiter, encoding, sheet, overrides by column, the greatest size.

    Raises:
        DatasetUnreadable: one of its kinds (see `loading.errors`), which name row and column
            where there are such. Nothing is left in `folder`.
    """
    path = Path(path)
    chosen = options or LoadOptions()
    held = folder or Path(tempfile.mkdtemp(prefix="muniment-dataset-"))
    held.mkdir(parents=True, exist_ok=True)
    originals = held / "originals.parquet"
    try:
        staged = _stage(path, originals, chosen)
        dataset = _described(name or path.stem, staged, held / "cleaned.parquet", chosen.overrides)
    except BaseException:
        # Cancelled or failed, nothing half-loaded stays.
        _remove(held, whole=folder is None)
        raise
    if folder is None:
        weakref.finalize(dataset, shutil.rmtree, held, ignore_errors=True)
    return dataset


def reload(dataset: Dataset, overrides: Mapping[str, Override]) -> Dataset:
    """Return a loaded dataset with the types and roles that a person chose for some columns.

    Works from the originals: what an earlier cleaning did is undone. The files of `dataset` are
    replaced; use the returned one.

    Raises:
        NoSuchColumn: an override names no column.
    """
    assert dataset.originals is not None
    assert dataset.cleaned is not None
    names = tuple(column.name for column in dataset.columns)
    staged = Staged(dataset.originals, names, dataset.rows, dataset.notes)
    fresh = dataset.cleaned.with_suffix(".new")
    try:
        changed = _described(dataset.name, staged, fresh, overrides)
        fresh.replace(dataset.cleaned)
    finally:
        fresh.unlink(missing_ok=True)
    return Dataset(
        changed.name,
        changed.columns,
        changed.rows,
        cleaned=dataset.cleaned,
        originals=dataset.originals,
        notes=dataset.notes,
        # The temporary folder goes with the last dataset that uses it.
        owner=dataset,
    )


def _described(
    name: str, staged: Staged, target: Path, overrides: Mapping[str, Override]
) -> Dataset:
    for column in overrides:
        if column not in staged.names:
            raise NoSuchColumn(
                f"There is no column “{column}”; there are: {', '.join(staged.names)}.",
                column=column,
            )
    profiles = profile(staged.names, string_batches(staged.path))
    plans = infer(profiles, overrides)
    decide_day_orders(plans, profiles, string_batches(staged.path), overrides)
    columns = clean(staged.path, target, plans, profiles)
    return Dataset(
        name, columns, staged.rows, cleaned=target, originals=staged.path, notes=staged.notes
    )


def _stage(path: Path, target: Path, options: LoadOptions) -> Staged:
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
        raise NotATable("The file is a page of markup (HTML or XML), no table of records.")
    try:
        codecs.lookup(options.encoding or "utf-8")
    except LookupError as error:
        raise DatasetUnreadable(f"There is no encoding “{options.encoding}”.") from error
    dialect = sniff(path, options.delimiter, options.encoding)
    sign = {"\t": "tab"}.get(dialect.delimiter, dialect.delimiter)
    notes = (f"encoding {dialect.encoding}", f"delimiter {sign}")
    return stage_grid(
        blocks(path, dialect), target, line_of=partial(line_of, path, dialect), notes=notes
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


def _remove(folder: Path, *, whole: bool) -> None:
    if whole:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in ("originals.parquet", "cleaned.parquet"):
        (folder / name).unlink(missing_ok=True)
