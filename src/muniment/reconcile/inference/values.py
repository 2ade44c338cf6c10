"""Numbers and dates: which signs and which order a column uses, decided from all its values."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.currencies import AMBIGUOUS, SIGNS, currency_code
from muniment.reconcile.inference.formats import date_shape, number_shape
from muniment.reconcile.inference.profile import Profile

_YEARS: Final = range(1800, 2101)
"""Years that records are about."""

_WORD: Final = re.compile(r"[^\W\d_]+\.?\$?|[^\w\s.,'()+%#:;/\\-]")


@dataclass(slots=True)
class Numbers:
    """What the number shapes of a column say together."""

    fitting: int = 0
    whole: int = 0
    currency: int = 0
    percent: int = 0
    parentheses: int = 0
    trailing_minus: int = 0
    grouped: int = 0
    places: Counter[int] = field(default_factory=Counter)
    decimal_sign: str = "."
    both_signs: bool = False
    """Some values show a decimal comma and others a decimal point."""
    code: str | None = None
    """The currency that all values with a sign carry."""
    widths: Counter[int] = field(default_factory=Counter)
    """Digits of the whole ones, without signs."""


def read_numbers(profile: Profile) -> Numbers:
    """Read the shapes of a column as numbers.

    `1.234` alone may be either: the other values of the column tell which sign is decimal.
    """
    found = Numbers()
    signs: Counter[str] = Counter()
    lone: Counter[tuple[str, int]] = Counter()
    long_whole = 0
    money: bool | None = None
    for shape, count in profile.shapes.items():
        read = number_shape(shape)
        if read is None:
            continue
        if read.currency:
            money = _money_words(profile) if money is None else money
            if not money:
                continue
        found.fitting += count
        found.currency += count * read.currency
        found.percent += count * read.percent
        found.parentheses += count * read.parentheses
        found.trailing_minus += count * read.trailing_minus
        if read.thousands:
            found.grouped += count
            signs["," if read.thousands == "." else "."] += count * (read.thousands in ".,")
        if read.lone:
            lone[read.lone, read.places] += count
        elif read.decimal:
            signs[read.decimal] += count
            found.places[read.places] += count
        else:
            found.whole += count
            found.places[0] += count
            if not read.thousands:
                found.widths[len(read.body)] += count
                long_whole += count * (len(read.body) > 3)
    found.both_signs = min(signs["."], signs[","]) > 0
    if signs:
        found.decimal_sign = max(".,", key=lambda sign: signs[sign])
    for (sign, places), count in lone.items():
        _settle(found, sign, places, count, known=bool(signs.total()), bare=long_whole)
    found.code = _currency(profile) if found.currency else None
    return found


def _settle(found: Numbers, sign: str, places: int, count: int, *, known: bool, bare: int) -> None:
    """Count values such as 1.234, whose one sign may be decimal or group thousands."""
    if known:
        decimal = sign == found.decimal_sign
    else:
        # Whole numbers of four digits and more without a sign: signs do not group here. Without
        # any other evidence a comma groups (English) and a point is decimal.
        decimal = bare > 0 if sign == "," else not _only_thousands(found, bare)
        found.decimal_sign = sign if decimal else ("," if sign == "." else ".")
    if decimal:
        found.places[places] += count
    else:
        found.grouped += count
        found.whole += count
        found.places[0] += count


def _only_thousands(found: Numbers, bare: int) -> bool:
    """Return whether small numbers are whole and larger ones have a point: 950, 1.200, 12.000."""
    return bare == 0 and found.whole > 0


CREDIT_WORDS: Final = frozenset({"cr", "dr"})
"""Words after an amount for its sign: `12.50 CR` came in, `12.50 DR` went out."""


def is_credit_word(word: str) -> bool:
    """Return whether a word beside an amount tells whether it is a credit or a debit."""
    return word.rstrip(".").casefold() in CREDIT_WORDS


def _money_words(profile: Profile) -> bool:
    """Return whether the words beside the digits of a column are currencies, not `No` or `INV`."""
    seen = known = 0
    for value in profile.sample:
        words = [word for word in _WORD.findall(value) if len(word) <= 5]
        if words:
            seen += 1
            known += all(currency_code(word) is not None or is_credit_word(word) for word in words)
    return seen > 0 and known >= seen * 0.9


def _currency(profile: Profile) -> str | None:
    """Return the one currency of the signs in a column; None if there are several or it is open."""
    codes = set()
    for value in profile.sample:
        words = [word for word in _WORD.findall(value) if not is_credit_word(word)]
        found = {currency_code(word) for word in words}
        codes |= {code for code in found if code}
    return next(iter(codes)) if len(codes) == 1 else None


def is_currency(values: Iterable[str]) -> bool:
    """Return whether all these distinct values name currencies."""
    found = list(values)
    return bool(found) and all(
        currency_code(value) or value.casefold() in SIGNS or value.casefold() in AMBIGUOUS
        for value in found
    )


def share_of_dates(profile: Profile) -> float:
    """Return the share of values that have the shape of a date."""
    if not profile.filled:
        return 0.0
    dates = sum(count for shape, count in profile.shapes.items() if date_shape(shape))
    return dates / profile.filled


def compact_order(sample: Sequence[str]) -> str | None:
    """Return the order of dates written as eight digits; None if these are other numbers.

    Of numbers of eight digits by chance one in a thousand is a date of the last two centuries.
    """
    found = [value for value in sample if len(value) == 8 and value.isdecimal()]
    if len(found) < max(2, 0.9 * len(sample)):
        return None
    scores = {order: sum(_is_date(value, order) for value in found) for order in _CUTS}
    best = max(scores, key=lambda order: scores[order])
    return best if scores[best] >= 0.8 * len(found) else None


_CUTS: Final = {
    "ymd": (slice(0, 4), slice(4, 6), slice(6, 8)),
    "dmy": (slice(4, 8), slice(2, 4), slice(0, 2)),
    "mdy": (slice(4, 8), slice(0, 2), slice(2, 4)),
}


def _is_date(value: str, order: str) -> bool:
    year, month, day = (int(value[cut]) for cut in _CUTS[order])
    if year not in _YEARS:
        return False
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


NUMERIC_DATE: Final = (
    r"^(?P<a>[0-9]{1,2})(?:[-/. ]|\. )(?P<b>[0-9]{1,2})(?:[-/. ]|\. )"
    r"(?P<c>[0-9]{4}|[0-9]{2})(?:[ ,].*)?$"
)


@dataclass(slots=True)
class DayOrder:
    """Tells day and month apart in dates such as 03/04/2024, from all values of a column."""

    first: set[int] = field(default_factory=set)
    second: set[int] = field(default_factory=set)
    first_above: int = 0
    """Values whose first part cannot be a month."""
    second_above: int = 0
    dots: int = 0
    seen: int = 0

    def add(self, values: pa.Array) -> None:
        """Take in values without spaces around them."""
        parts = pc.extract_regex(values, pattern=NUMERIC_DATE).drop_null()
        if not len(parts):
            return
        self.seen += len(parts)
        self.dots += pc.sum(pc.match_substring(values, ".")).as_py() or 0
        first = pc.cast(parts.field(0), pa.int8())
        second = pc.cast(parts.field(1), pa.int8())
        self.first |= set(pc.unique(first).to_pylist())
        self.second |= set(pc.unique(second).to_pylist())
        self.first_above += int(np.sum(np.asarray(first) > 12))
        self.second_above += int(np.sum(np.asarray(second) > 12))

    def decide(self) -> tuple[str | None, str]:
        """Return `dmy` or `mdy` with the reason; None if the values do not tell."""
        if self.first_above > self.second_above:
            return "dmy", "the first part goes above 12, so it is the day"
        if self.second_above > self.first_above:
            return "mdy", "the second part goes above 12, so it is the day"
        if self.dots * 2 > self.seen:
            return "dmy", "dates with dots put the day first"
        # First of the month, every month: the part that stays 1 is the day.
        if self.first == {1} and len(self.second) > 1:
            return "dmy", "the first part is always 1, as the first day of months"
        if self.second == {1} and len(self.first) > 1:
            return "mdy", "the second part is always 1, as the first day of months"
        return None, "day and month cannot be told apart"
