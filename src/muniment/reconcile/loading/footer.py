"""Rows below a table that are no records of it: totals, and remarks of whoever made the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from muniment.reconcile.inference.formats import looks_like_data

_TOTALS: Final = frozenset(
    [
        *("total", "totals", "grand total", "subtotal", "sub total", "sub-total", "sum", "sums"),
        *("summe", "gesamt", "gesamtsumme", "gesamtbetrag", "zwischensumme", "insgesamt"),
        *("total général", "total general", "somme", "totale", "totale generale", "somma"),
        *("suma", "suma total", "total geral", "soma", "totaal", "eindtotaal", "subtotaal"),
        *("razem", "ogółem", "totalt", "summa", "i alt", "sammenlagt", "toplam", "итого"),
        *("合計", "总计", "總計", "小計"),
    ]
)
_OF: Final = frozenset(
    [
        *("amount", "amounts", "balance", "due", "paid", "net", "gross", "tax", "vat", "debit"),
        *("debits", "credit", "credits", "value", "price", "cost", "quantity", "rows", "records"),
        *("items", "lines", "in", "of", "for", "the", "all", "eur", "usd", "gbp", "chf", "$", "€"),
    ]
)
"""What may follow the word: `Total EUR` is one, `Total Energies` a company."""

_MOST: Final = 5
"""Rows below a table that are looked at."""

_USUAL: Final = 0.9
_LOOKED_AT: Final = 200


def footer_rows(rows: Sequence[Sequence[str | None]], width: int) -> int:
    """Return how many of the last rows are no records.

    A row of totals has a word for it, numbers, and nothing in a column that is filled elsewhere.
    A remark is a single cell of words: alone in a line of a file whose lines have several cells,
    or below a blank row.

    Args:
        rows: the last rows of the source, blank ones too.
        width: cells of a record.
    """
    count = len(rows)
    while count and not any(rows[count - 1]):
        count -= 1
    end = count
    while count and end - count < _MOST:
        above = [row for row in rows[max(0, count - 1 - _LOOKED_AT) : count - 1] if any(row)]
        row = rows[count - 1]
        below_blank = count >= 2 and not any(rows[count - 2])
        if (
            any(row)
            and not _is_total(row, above)
            and not _is_remark(row, above, width, below_blank)
        ):
            break
        count -= 1
    return len(rows) - count if count < end else 0


def _is_total(row: Sequence[str | None], above: Sequence[Sequence[str | None]]) -> bool:
    cells = [cell.strip() for cell in row if cell and cell.strip()]
    words = [cell for cell in cells if not looks_like_data(cell)]
    if not words or len(words) > 2 or not all(map(_says_total, words)):
        return False
    return len(above) > 1 and any(
        not (row[place] if place < len(row) else None) and share >= _USUAL
        for place, share in enumerate(_filled(above))
    )


def _says_total(cell: str) -> bool:
    bare = cell.rstrip(" :.=").casefold()
    first, *rest = bare.split()
    return bare in _TOTALS or (first in {"total", "totals", "summe"} and set(rest) <= _OF)


def _is_remark(
    row: Sequence[str | None],
    above: Sequence[Sequence[str | None]],
    width: int,
    below_blank: bool,
) -> bool:
    cells = [cell for cell in row if cell]
    if len(cells) != 1 or looks_like_data(cells[0].strip()) or width < 3 or len(above) < 2:
        return False
    usual = sum(share >= _USUAL for share in _filled(above))
    return usual >= 2 and (len(row) == 1 or below_blank)


def _filled(rows: Sequence[Sequence[str | None]]) -> list[float]:
    """Return the share of rows that have a value, by column."""
    width = max(map(len, rows), default=0)
    return [
        sum(place < len(row) and bool(row[place]) for row in rows) / len(rows)
        for place in range(width)
    ]
