"""Cells of exported files: plain, exact, and never a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal

# Spreadsheets take the signs for what they are in their wide form too.
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?[\d.,'\s]*\d[\d.,'\s]*%?")


def csv_lines(rows: Iterable[Iterable[object]], *, guarded: bool = False) -> str:
    """Return rows as lines of CSV (RFC 4180); None is an empty cell.

    Args:
        rows: values of any type; numbers are written plainly, without exponent.
        guarded: text that a spreadsheet would calculate is given an apostrophe in front (OWASP,
            "CSV Injection"). What is a number, a phone number too, stays as it is.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerows([_cell(value, guarded=guarded) for value in row] for row in rows)
    return written.getvalue()


def _cell(value: object, *, guarded: bool) -> str:
    if isinstance(value, str):
        return guard(value) if guarded else value
    return plain(value)


def plain(value: object) -> str:
    """Return a value as text that every program reads alike."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


def guard(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    if not text.lstrip(" ").startswith(_FORMULA_STARTS) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"
