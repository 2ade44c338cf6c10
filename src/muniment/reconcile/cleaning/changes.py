"""The account of a column's cleaning: what was done, to how many values, with examples."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Cleaning, OddValue

_EXAMPLES: Final = 3
_ODD_KEPT: Final = 20

DESCRIPTIONS: Final = {
    "empty_words": "words for 'no value', such as NULL or N/A, are empty",
    "spaces": "spaces at the ends removed, several made one",
    "entities": "HTML entities replaced by their characters",
    "compatibility": "characters of full width, ligatures and the like in their usual form",
    "case": "lower case",
    "accents": "accents removed",
    "telephone": "digits only, with + for the country",
    "address_sign": "mailto and angle brackets removed",
    "currency": "currency signs removed",
    "decimal_comma": "a comma is the decimal sign",
    "thousands": "thousands signs removed",
    "parentheses": "parentheses mark a negative amount",
    "trailing_minus": "a minus sign at the end marks a negative amount",
    "debit": "DR after an amount makes it negative",
    "percent": "percent signs removed",
    "date_ymd": "dates written year, month, day",
    "date_dmy": "dates written day, month, year",
    "date_mdy": "dates written month, day, year",
    "date_words": "dates with the month in words",
    "time": "times of day dropped",
    "boolean": "yes and no",
}


class Changes:
    """Counts what is done to one column and keeps some examples."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[tuple[str, str]]] = {}
        self.odd = 0
        self.odd_values: list[OddValue] = []
        self.empty = 0

    def compare(self, action: str, before: pa.Array, after: pa.Array) -> None:
        """Note the values that a step changed; both are strings of the same length."""
        if before is after:
            return
        self.mark(action, before, after, pc.not_equal(before, after))

    def mark(self, action: str, before: pa.Array, after: pa.Array, changed: pa.Array) -> None:
        """Note the values of a mask; null in it is false."""
        count = pc.sum(changed).as_py() or 0
        if not count:
            return
        self._counts[action] = self._counts.get(action, 0) + count
        examples = self._examples.setdefault(action, [])
        if len(examples) < _EXAMPLES:
            places = pc.indices_nonzero(changed.fill_null(False))[: _EXAMPLES * 4]
            for old, new in zip(
                before.take(places).to_pylist(), after.take(places).to_pylist(), strict=True
            ):
                pair = (str(old)[:80], "" if new is None else str(new)[:80])
                if pair not in examples and len(examples) < _EXAMPLES:
                    examples.append(pair)

    def note_odd(self, raw: pa.Array, odd: pa.Array, first_row: int, reason: str) -> None:
        """Note values that do not fit the column; `first_row` is the number of the first."""
        count = pc.sum(odd).as_py() or 0
        self.odd += count
        if not count or len(self.odd_values) >= _ODD_KEPT:
            return
        places = pc.indices_nonzero(odd.fill_null(False))[: _ODD_KEPT - len(self.odd_values)]
        for place, value in zip(places.to_pylist(), raw.take(places).to_pylist(), strict=True):
            self.odd_values.append(OddValue(first_row + place, str(value)[:200], reason))

    def cleanings(self) -> tuple[Cleaning, ...]:
        """Return the account, in the order in which the steps were first needed."""
        return tuple(
            Cleaning(action, DESCRIPTIONS[action], count, tuple(self._examples[action]))
            for action, count in self._counts.items()
        )
