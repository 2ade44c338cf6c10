"""Several files that are one dataset: their cells, one file after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from muniment.reconcile.columns import rows_at_a_time
from muniment.reconcile.loading.errors import ColumnsDiffer, DatasetTooLarge, DatasetUnreadable
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.stage import stage
from muniment.reconcile.loading.staging import Staged, StringColumns


@dataclass(frozen=True, slots=True)
class Part:
    """One of the files of a dataset."""

    path: Path
    name: str
    """What errors call it."""
    options: LoadOptions | None = None
    """How it is read; by default as the whole dataset is. Its overrides are not looked at."""


def stage_parts(
    parts: Sequence[Part],
    target: Path,
    options: LoadOptions,
    told: Callable[[float], None] = lambda _share: None,
) -> Staged:
    """Write the cells of all parts to one Parquet file.

    Args:
        parts: the files, at least one.
        target: the Parquet file to write.
        options: how they are read, if they have no options of their own.
        told: the share of the work done, 0 to 1.

    Raises:
        ColumnsDiffer: a part has not the columns of the first one.
        DatasetTooLarge: they are too large together.
        DatasetUnreadable: one of its kinds; names the part where there are several.
    """
    if len(parts) == 1:
        staged = stage(parts[0].path, target, parts[0].options or options, told)
        told(1.0)
        return staged
    size = sum(part.path.stat().st_size for part in parts if part.path.exists())
    if size > options.max_bytes:
        raise DatasetTooLarge(
            f"The {len(parts)} files have {size:,} bytes together, the most that is loaded is "
            f"{options.max_bytes:,}."
        )
    notes: list[str] = []
    writer: StringColumns | None = None
    names: tuple[str, ...] = ()
    piece = target.with_name("part.parquet")
    try:
        for number, part in enumerate(parts):
            told(number / len(parts))
            with _named(part):
                staged = stage(part.path, piece, part.options or options)
                if writer is None:
                    names = staged.names
                    writer = StringColumns(target, names)
                order = _order(names, staged.names, parts[0].name, part.name)
            _append(writer, piece, order, names)
            notes.append(f"{part.name}: {staged.rows:,} rows, {', '.join(staged.notes)}")
    finally:
        piece.unlink(missing_ok=True)
        if writer is not None:
            writer.close()
    assert writer is not None
    return Staged(target, names, writer.rows, tuple(notes))


def _append(writer: StringColumns, piece: Path, order: Sequence[str], names: Sequence[str]) -> None:
    with pq.ParquetFile(piece) as file:
        for batch in file.iter_batches(batch_size=rows_at_a_time(len(order)), columns=list(order)):
            # Parquet gives columns in the order of the file.
            writer.add_batch(batch.select(list(order)).rename_columns(list(names)))


def _order(wanted: Sequence[str], found: Sequence[str], first: str, part: str) -> list[str]:
    """Return the columns of a part in the order of the first part's.

    Names that differ in case only are the same, unless the part has several of these.
    """
    folded: dict[str, list[str]] = {}
    for name in found:
        folded.setdefault(name.casefold(), []).append(name)
    order = []
    for name in wanted:
        same = [name] if name in found else folded.get(name.casefold(), [])
        order.append(same[0] if len(same) == 1 else "")
    missing = [name for name, other in zip(wanted, order, strict=True) if not other]
    extra = [name for name in found if name not in order]
    if missing or extra:
        told = []
        if missing:
            told.append(f"lacks {_quoted(missing)}")
        if extra:
            told.append(f"has {_quoted(extra)} besides")
        raise ColumnsDiffer(
            f"“{part}” {' and '.join(told)}; every file of a dataset needs the columns of the "
            f"first one, “{first}”: {', '.join(wanted[:20])}{' …' if len(wanted) > 20 else ''}.",
            row=0,
            column=(missing or extra)[0],
        )
    return order


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@contextmanager
def _named(part: Part) -> Iterator[None]:
    """Say in errors which of several files is wrong."""
    try:
        yield
    except DatasetUnreadable as error:
        if not isinstance(error, ColumnsDiffer):
            error.args = (f"{part.name}: {error.detail}",)
            error.detail = f"{part.name}: {error.detail}"
        error.errors = [{**fault, "file": part.name} for fault in error.errors]
        raise
