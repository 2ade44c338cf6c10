"""Loading files of records: staged as strings, looked at, cleaned, described."""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa

from muniment.reconcile.cleaning.clean import clean, string_batches
from muniment.reconcile.columns import Dataset, Override
from muniment.reconcile.inference.dates import decide_day_orders
from muniment.reconcile.inference.infer import infer
from muniment.reconcile.inference.profile import profile
from muniment.reconcile.loading.errors import NoRoomForDataset, NoSuchColumn
from muniment.reconcile.loading.options import LoadOptions
from muniment.reconcile.loading.parts import Part, stage_parts
from muniment.reconcile.loading.staging import Staged

ORIGINALS: Final = "originals.parquet"
CLEANED: Final = "cleaned.parquet"
"""Names of the two files of a dataset in its folder."""

_READ: Final = 0.5
_LOOKED: Final = 0.2
"""Shares of the time that the first two of three steps take, as measured."""

Progress: TypeAlias = Callable[[str, float], None]
"""Told what is done (reading, looking, cleaning) and the share of the work done, 0 to 1."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        NoRoomForDataset: the disk is full. Nothing is left in `folder`.
    """
    return load_parts([Path(path)], name=name, folder=folder, options=options)


def load_parts(
    parts: Sequence[Path | Part],
    *,
    name: str | None = None,
    overrides: Mapping[str, Override] | None = None,
    folder: Path | None = None,
    options: LoadOptions | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset that came in several files, one after the other.

    The result is that of one file with the records of all of them; rows are numbered on. The
    files may be of different kinds and have their columns in another order: the names count.

    Args:
        parts: the files, at least one; a `Part` has a name for errors and options of its own.
        name: of the dataset; the first file's name by default.
        overrides: what a person decided, by column; takes the place of those in `options`.
        folder, options: as `load`.
        progress: told what is done and the share of the whole work that lies behind, 0 to 1.

    Raises:
        ColumnsDiffer: a file has not the columns of the first one; names them.
        DatasetUnreadable, NoRoomForDataset: as `load`; names the file, if there are several.
    """
    files = [part if isinstance(part, Part) else Part(part, part.name) for part in parts]
    chosen = options or LoadOptions()
    if overrides is not None:
        chosen = replace(chosen, overrides=overrides)
    with _room(), _folder(folder) as held:
        told = progress or _tell_nobody
        told("reading", 0.0)
        staged = stage_parts(
            files, held / ORIGINALS, chosen, lambda share: told("reading", share * _READ)
        )
        title = name or files[0].path.stem
        dataset = _described(title, staged, held / CLEANED, chosen.overrides, told)
    if folder is None:
        weakref.finalize(dataset, shutil.rmtree, held, ignore_errors=True)
    return dataset


def reload(dataset: Dataset, overrides: Mapping[str, Override]) -> Dataset:
    """Return a loaded dataset with what a person decided on some columns.

    Works from the originals: what an earlier cleaning did is undone, and what is not in
    `overrides` any more is inferred again. The cleaned file of `dataset` is replaced; use the
    returned one.

    Raises:
        NoSuchColumn: an override names no column.
        NoRoomForDataset: the disk is full; the dataset is as it was.
    """
    assert dataset.originals is not None
    assert dataset.cleaned is not None
    names = tuple(column.name for column in dataset.columns)
    staged = Staged(dataset.originals, names, dataset.rows, dataset.notes)
    fresh = dataset.cleaned.with_suffix(".new")
    try:
        with _room():
            changed = _described(dataset.name, staged, fresh, overrides, _tell_nobody)
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
    name: str,
    staged: Staged,
    target: Path,
    overrides: Mapping[str, Override],
    told: Progress,
) -> Dataset:
    for column in overrides:
        if column not in staged.names:
            raise NoSuchColumn(
                f"There is no column “{column}”; there are: {', '.join(staged.names)}.",
                column=column,
            )
    profiles = profile(
        staged.names, _watched(staged, lambda share: told("looking", _READ + share * _LOOKED))
    )
    plans = infer(profiles, overrides)
    decide_day_orders(plans, profiles, string_batches(staged.path), overrides)
    done = _READ + _LOOKED
    batches = _watched(staged, lambda share: told("cleaning", done + share * (1 - done)))
    columns = clean(batches, target, plans, profiles)
    return Dataset(
        name, columns, staged.rows, cleaned=target, originals=staged.path, notes=staged.notes
    )


def _watched(staged: Staged, told: Callable[[float], None]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a staged file and tell how many of them have been worked on."""
    done = 0
    for batch in string_batches(staged.path):
        yield batch
        done += batch.num_rows
        told(done / staged.rows)


def _tell_nobody(step: str, share: float) -> None:
    pass


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """Give the folder for a dataset's files, and leave nothing there when loading ends early."""
    held = wanted or Path(tempfile.mkdtemp(prefix="muniment-dataset-"))
    held.mkdir(parents=True, exist_ok=True)
    before = set(held.iterdir())
    try:
        yield held
    except BaseException:
        # Cancelled or failed, nothing half-loaded stays.
        if wanted is None:
            shutil.rmtree(held, ignore_errors=True)
        else:
            for path in set(held.iterdir()) - before | {held / ORIGINALS, held / CLEANED}:
                path.unlink(missing_ok=True)
        raise


@contextmanager
def _room() -> Iterator[None]:
    """Tell a full disk, a full quota and a file that may not grow further from bad files."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None) in _FULL:
            raise NoRoomForDataset from error
        raise


__all__ = ["CLEANED", "ORIGINALS", "LoadOptions", "Progress", "load", "load_parts", "reload"]
