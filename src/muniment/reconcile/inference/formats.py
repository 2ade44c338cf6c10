"""What the shapes of values say: numbers and their signs, dates and their orders, telephone...

The shape of a value has a 9 for each digit and an `a` for each letter, and keeps other signs:
`1.234,50 EUR` is `9.999,99 aaa`. There are few shapes in a column of numbers, dates or codes,
so that all values are looked at for the price of some.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_TABLE: Final[npt.NDArray[np.uint8]] = np.arange(256, dtype=np.uint8)
_TABLE[ord("0") : ord("9") + 1] = ord("9")
_TABLE[ord("a") : ord("z") + 1] = ord("a")
_TABLE[ord("A") : ord("Z") + 1] = ord("a")
_TABLE[0x80:] = ord("a")

LONGEST: Final = 40
"""Characters of the longest value that is shaped: nothing that is typed is longer."""

# Signs that letters outside of ASCII would hide: spaces, minus signs, currency signs, digits of
# full width. Regular expressions of Arrow are RE2, which knows these classes.
SPECIAL: Final = (
    ("[\u00a0\u2007\u2009\u202f\u3000]", " "),
    ("[\u2212\u2012\u2013\u2014\ufe63\uff0d]", "-"),
    ("[\u2018\u2019\u02bc\u2032]", "'"),
    (r"\p{Sc}", "$"),
)


def shapes(values: pa.Array) -> pa.Array:
    """Return the shape of each value; values are plain strings without nulls, in ASCII or not."""
    offsets, data = values.buffers()[1], values.buffers()[2]
    if data is None:
        return values
    mapped = pa.py_buffer(_TABLE[np.frombuffer(data, np.uint8)].tobytes())
    return pa.Array.from_buffers(
        values.type, len(values), [None, offsets, mapped], offset=values.offset
    )


def plain_signs(values: pa.Array) -> pa.Array:
    """Return values with the spaces, minus and currency signs of Unicode as their ASCII kin."""
    for pattern, replacement in SPECIAL:
        values = pc.replace_substring_regex(values, pattern=pattern, replacement=replacement)
    return values


_MONEY_WORDS: Final = r"(?:[$]|[a]{1,4}\.?)"
_NUMBER: Final = re.compile(
    rf"^(?P<open>\()?\s?(?P<minus1>[-+])?\s?(?P<cur1>(?:{_MONEY_WORDS}\s?)?[$]?)\s?"
    r"(?P<minus2>[-+])?\s?"
    r"(?P<body>9[9.,' ]*|[.,]9+)"
    rf"\s?(?P<minus3>[-+])?\s?(?P<cur2>{_MONEY_WORDS}?)\s?(?P<percent>%)?"
    r"(?P<close>\))?(?P<minus4>-)?$"
)


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A shape that may be a number."""

    body: str
    """Its digits and the signs between them."""
    currency: bool
    percent: bool
    parentheses: bool
    trailing_minus: bool
    lone: str | None
    """The one sign of the body if it may be the decimal or the thousands sign: `1.234`."""
    decimal: str | None
    """The decimal sign if the body shows it; `` (empty) if the body is whole."""
    thousands: str | None
    places: int
    """Digits after the decimal sign."""


@lru_cache(65_536)
def number_shape(shape: str) -> NumberShape | None:
    """Read a shape as a number; None if it is none."""
    found = _NUMBER.match(shape)
    if not found or bool(found["open"]) != bool(found["close"]):
        return None
    body = found["body"].strip()
    read = _signs(body)
    if read is None:
        return None
    decimal, thousands, lone, places = read
    return NumberShape(
        body=body,
        currency=bool(found["cur1"].strip() or found["cur2"].strip()),
        percent=bool(found["percent"]),
        parentheses=bool(found["open"]),
        trailing_minus="-" in ((found["minus3"] or "") + (found["minus4"] or "")),
        lone=lone,
        decimal=decimal,
        thousands=thousands,
        places=places,
    )


_GROUPED: Final = re.compile(r"^9{1,3}(?P<sign>[.,' ])999(?:(?P=sign)999)*$")
_INDIAN: Final = re.compile(r"^9{1,2}(?:,99)*,999$")


def _signs(body: str) -> tuple[str | None, str | None, str | None, int] | None:
    """Return decimal sign, thousands sign, the lone ambiguous sign and the decimal places."""
    signs = [sign for sign in body if not sign.isdigit()]
    if not signs:
        return "", None, None, 0
    kinds = list(dict.fromkeys(signs))
    if len(kinds) == 1:
        sign = kinds[0]
        grouped = bool(_GROUPED.match(body)) or (sign == "," and bool(_INDIAN.match(body)))
        if sign in " '":
            return ("", sign, None, 0) if grouped else None
        if len(signs) > 1:
            return ("", sign, None, 0) if grouped else None
        places = len(body) - body.index(sign) - 1
        # 1.234 may be both; 0.234 and 1234.567 and 12.34 are decimals.
        if grouped and body.index(sign) > 0:
            return None, None, sign, places
        return sign, None, None, places
    if len(kinds) == 2 and kinds[1] in ".," and signs.count(kinds[1]) == 1:
        whole, _, fraction = body.rpartition(kinds[1])
        if _GROUPED.match(whole) or (kinds[0] == "," and _INDIAN.match(whole)):
            return kinds[1], kinds[0], None, len(fraction)
    return None


_DATES: Final = (
    ("ymd", re.compile(r"^9999([-/. ])99?\1(?:9{1,2})(?P<time>[aT ,]+.*)?$")),
    ("xxy", re.compile(r"^99?([-/. ])99?\1(?:9999|99)(?P<time>[ ,]+.*)?$")),
    ("xxy", re.compile(r"^99?\. 99?\. 9999(?P<time>[ ,]+.*)?$")),
    ("ymd_cjk", re.compile(r"^9999aaa99?aaa99?aaa(?P<time> .*)?$")),
    (
        "dMy",
        re.compile(
            r"^(?:a{2,10}[.,]? )?99?(?:a{2}|\.)?(?: (?:aa )?|[-/.])a{3,12}\.?,?"
            r"(?: (?:aa )?|[-/.])9{2}(?:99)?(?P<time>[ ,]+.*)?$"
        ),
    ),
    ("Mdy", re.compile(r"^(?:a{2,10}[.,]? )?a{3,12}\.? 99?(?:a{2})?,? 9999(?P<time>[ ,]+.*)?$")),
    ("yMd", re.compile(r"^9999[- ]a{3,12}[- ]99?(?P<time>[ ,]+.*)?$")),
)
_TIME: Final = re.compile(
    r"^[aT, ]*(?:aa )?99?:99(?::99(?:[.,]9+)?)?(?: ?a\.?a?\.?)?(?: ?(?:a{1,5}|[-+]99:?99))?$"
)
COMPACT: Final = "99999999"


@lru_cache(65_536)
def date_shape(shape: str) -> str | None:
    """Return the order that a shape has as a date, None if it is none.

    `xxy` is day and month in an order that the shape does not tell.
    """
    for order, pattern in _DATES:
        found = pattern.match(shape)
        if found and (not found["time"] or _TIME.match(found["time"])):
            return order
    return None


_PHONE: Final = re.compile(r"^(?:\+|00)?[9(][9()/.\- +]{5,20}9(?:\s?(?:a{1,4}\.?)\s?9{1,6})?$")


@lru_cache(65_536)
def is_phone(shape: str) -> bool:
    """Return whether a shape may be a telephone number: grouped digits, none of them an amount."""
    if not _PHONE.match(shape) or date_shape(shape):
        return False
    digits = shape.count("9")
    if not 6 <= digits <= 16:
        return False
    if shape.startswith("+") or "(" in shape:
        return True
    groups = [group for group in re.split(r"[^9]+", shape) if group]
    return len(groups) > 1 and number_shape(shape) is None


@lru_cache(65_536)
def _value_shape(value: str) -> str:
    text = pa.array([value])
    if not value.isascii():
        text = plain_signs(text)
    return str(shapes(text)[0])


def looks_like_data(value: str) -> bool:
    """Return whether a single value is a number or a date, rather than words."""
    if not value or len(value) > LONGEST:
        return False
    shape = _value_shape(value)
    number = number_shape(shape)
    # `C12` and `No 5` are words: letters make money only where a decimal sign does.
    if number is not None and "9" in shape and ("a" not in shape or number.decimal):
        return True
    return date_shape(shape) is not None


def shape_counts(values: pa.Array) -> Counter[str]:
    """Count the shapes of short values that hold a digit; `values` are strings without nulls."""
    if not len(values):
        return Counter()
    counted = pc.value_counts(shapes(values))
    pairs = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
    return Counter(dict(pairs))
