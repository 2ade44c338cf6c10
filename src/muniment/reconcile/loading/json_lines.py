"""JSON lines: one object a line. Objects in objects become columns with a dot in their name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from muniment.reconcile.columns import rows_at_a_time
from muniment.reconcile.loading.encoding import file_encoding
from muniment.reconcile.loading.errors import (
    BadRecord,
    CellTooLarge,
    DatasetTooLarge,
    DuplicateHeader,
    EmptyDataset,
)
from muniment.reconcile.loading.staging import Staged, StringColumns, check_width

_BLOCK: Final = 8192
_LINE_LIMIT: Final = 16 << 20
_ARRAY_LIMIT: Final = 64 << 20
"""Bytes of a file that is one JSON array: it has to be read whole."""


def stage_json_lines(path: Path, target: Path) -> Staged:
    """Write the objects of a file as columns of strings.

    The file is read twice: columns are the keys of all objects, in order of their appearance.

    Raises:
        BadRecord: a line is no object; names it.
        EmptyDataset, DatasetTooLarge, DuplicateHeader, MixedEncodings
    """
    encoding = file_encoding(path)
    names: dict[str, int] = {}
    for line, record in _records(path, encoding):
        for name in record:
            if name not in names:
                names[name] = line
        check_width(len(names))
    if not names:
        raise EmptyDataset("The file holds no objects.")
    shown = _unique(names)
    writer = StringColumns(target, shown)
    try:
        block: list[Mapping[str, str | None]] = []
        size = min(_BLOCK, rows_at_a_time(len(names)))
        for _, record in _records(path, encoding):
            block.append(record)
            if len(block) == size:
                writer.add([[one.get(name) for one in block] for name in names])
                block = []
        if block:
            writer.add([[one.get(name) for one in block] for name in names])
    finally:
        writer.close()
    return Staged(target, tuple(shown), writer.rows, ("JSON lines",))


def _unique(names: Mapping[str, int]) -> list[str]:
    """Return the names of columns for keys: without spaces around them, unlike each other."""
    shown: dict[str, str] = {}
    for name, line in names.items():
        tidy = " ".join(name.split()) or f"column {len(shown) + 1}"
        tidy = "row (2)" if tidy == "row" else tidy
        if tidy in shown:
            raise DuplicateHeader(
                f"The keys “{shown[tidy]}” and “{name}” are one name but for spaces.",
                column=tidy,
                row=line,
                line=line,
            )
        shown[tidy] = name
    return list(shown)


def _records(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield the line and the flattened object of each line that is not blank."""
    decoder = msgspec.json.Decoder()
    with path.open(encoding=encoding) as file:
        for line, text in enumerate(iter(partial(file.readline, _LINE_LIMIT), ""), 1):
            if len(text) == _LINE_LIMIT and not text.endswith("\n"):
                if text.lstrip().startswith("["):
                    yield from _array(path, encoding)
                    return
                raise CellTooLarge(
                    f"Line {line} has more than {_LINE_LIMIT:,} characters.", row=line, line=line
                )
            if not text.strip():
                continue
            try:
                found = decoder.decode(text)
            except msgspec.DecodeError as error:
                if text.lstrip().startswith("["):
                    yield from _array(path, encoding)
                    return
                raise BadRecord(f"Line {line} is no JSON: {error}.", row=line, line=line) from error
            if isinstance(found, list):
                yield from _array(path, encoding)
                return
            if not isinstance(found, dict):
                raise BadRecord(
                    f"Line {line} is no JSON object but {type(found).__name__}: {text[:60]}.",
                    row=line,
                    line=line,
                )
            yield line, dict(_flat(found))


def _array(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    if path.stat().st_size > _ARRAY_LIMIT:
        raise DatasetTooLarge(
            "The file is one JSON array. Above 64 MiB only JSON lines are read: an object a line."
        )
    try:
        found = msgspec.json.decode(path.read_text(encoding))
    except msgspec.DecodeError as error:
        raise BadRecord(f"The file is no JSON: {error}.") from error
    for number, record in enumerate(found, 1):
        if not isinstance(record, dict):
            raise BadRecord(f"Item {number} is no JSON object.", row=number)
        yield number, dict(_flat(record))


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    for key, value in record.items():
        name = prefix + key
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return "; ".join(_text(item) or "" for item in value)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    return repr(value) if isinstance(value, float) else str(value)
