"""Cleaning of numbers: currency signs, thousands and decimal signs, negatives of all kinds."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.cleaning.changes import Changes
from muniment.reconcile.columns import DECIMAL_DIGITS, ColumnType
from muniment.reconcile.currencies import currency_code
from muniment.reconcile.inference.formats import plain_signs
from muniment.reconcile.inference.plan import Plan
from muniment.reconcile.inference.values import is_credit_word

_POINT: Final = (
    r"^(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3})?(?:\.[0-9]*)?$"
)
_COMMA: Final = r"^(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)?(?:,[0-9]*)?$"


def clean_numbers(values: pa.Array, plan: Plan, changes: Changes) -> tuple[pa.Array, pa.Array]:
    """Return typed numbers and a mask of the values that are none.

    Args:
        values: strings without spaces at their ends; null where empty.
        plan: tells the type, the decimal sign and the places.
        changes: takes the account.
    """
    plain, letter = values, "[A-Za-z]"
    if pc.all(pc.string_is_ascii(values)).as_py() is False:
        plain = plain_signs(pc.utf8_normalize(plain_signs(values), form="NFKC"))
        # To compile the class of all letters takes longer than to look at a thousand values.
        letter = r"\pL"
    bare = pc.replace_substring_regex(plain, pattern=rf"{letter}+\.?|[$%]", replacement="")
    trailing = pc.match_substring_regex(bare, pattern=r"[0-9.,]\s*-\)?\s*$")
    brackets = pc.match_substring_regex(bare, pattern=r"^\s*-?\s*\(.*\)\s*$")
    leading = pc.match_substring_regex(bare, pattern=r"^[\s(]*-")
    # `-12.50 DR` says twice that it went out.
    debit = pc.match_substring_regex(plain, pattern=r"(?i)(?:^|[^a-z])dr\.?\s*$")
    negative = pc.or_(pc.or_(pc.or_(trailing, brackets), leading), debit)
    body = pc.replace_substring_regex(bare, pattern=r"[^0-9.,]", replacement="")
    inner = pc.match_substring_regex(bare, pattern=r"[0-9.,]\s*[^0-9.,' )\s-]|[0-9]\s*-\s*[0-9]")
    number, comma, grouped = _with_point(body, plan.decimal_sign)
    fits = pc.and_(_fits(number, plan), pc.and_(_known_words(plain, letter), pc.invert(inner)))
    fits = pc.and_(fits, pc.match_substring_regex(body, pattern="[0-9]"))
    fits = pc.and_(fits, _spaced_well(bare))
    number = pc.if_else(negative, pc.binary_join_element_wise("-", number, ""), number)
    good = pc.if_else(fits, number, pa.scalar(None, pa.string()))
    result = pc.cast(good, _arrow_type(plan))
    for action, mask in (
        ("currency", pc.match_substring_regex(plain, pattern=rf"{letter}|[$]")),
        ("percent", pc.match_substring(plain, "%")),
        ("decimal_comma", comma),
        ("thousands", pc.or_(grouped, pc.match_substring_regex(bare, pattern="[0-9][ '][0-9]"))),
        ("parentheses", brackets),
        ("trailing_minus", trailing),
        ("debit", debit),
    ):
        changes.mark(action, values, good, pc.and_(mask, fits))
    return result, pc.and_(pc.is_valid(values), pc.invert(fits.fill_null(False)))


def _arrow_type(plan: Plan) -> pa.DataType:
    if plan.type is ColumnType.decimal:
        return pa.decimal128(DECIMAL_DIGITS, plan.scale)
    return pa.int64() if plan.type is ColumnType.integer else pa.float64()


def _with_point(body: pa.Array, decimal_sign: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return numbers with a decimal point only, and masks: had a decimal comma, was grouped.

    The column's sign decides; a value that is impossible with it is read with the other one.
    """
    first, second = (_POINT, _COMMA) if decimal_sign == "." else (_COMMA, _POINT)
    as_first = pc.match_substring_regex(body, pattern=first)
    as_second = pc.and_not(pc.match_substring_regex(body, pattern=second), as_first)
    point = as_first if decimal_sign == "." else as_second
    comma = as_second if decimal_sign == "." else as_first
    with_point = pc.replace_substring(body, ",", "")
    with_comma = pc.replace_substring(pc.replace_substring(body, ".", ""), ",", ".")
    number = pc.if_else(comma, with_comma, with_point)
    number = pc.if_else(pc.or_(point, comma), number, pa.scalar(None, pa.string()))
    has_comma = pc.match_substring(body, ",")
    has_point = pc.match_substring(body, ".")
    grouped = pc.or_(pc.and_(comma, has_point), pc.and_(point, has_comma))
    # A sign at an end: .5 and 5. are numbers, for Arrow only with a digit on each side.
    number = pc.replace_substring_regex(number, pattern=r"^\.", replacement="0.")
    number = pc.replace_substring_regex(number, pattern=r"\.$", replacement="")
    return number, pc.and_(comma, has_comma), grouped


def _fits(number: pa.Array, plan: Plan) -> pa.Array:
    """Return which numbers the column's type can hold exactly."""
    if plan.type is ColumnType.decimal:
        whole = DECIMAL_DIGITS - plan.scale
        pattern = rf"^0*[0-9]{{1,{whole}}}(?:\.[0-9]{{0,{plan.scale}}}0*)?$"
    elif plan.type is ColumnType.integer:
        pattern = r"^0*[0-9]{1,18}(?:\.0*)?$"
    else:
        pattern = r"^[0-9]+(?:\.[0-9]*)?$"
    return pc.match_substring_regex(number, pattern=pattern)


def _known_words(plain: pa.Array, letter: str) -> pa.Array:
    """Return which values hold no letters but those of a currency."""
    other = r"[^\pL$]+" if letter == r"\pL" else "[^A-Za-z$]+"
    words = pc.replace_substring_regex(plain, pattern=other, replacement=" ")
    words = pc.utf8_trim_whitespace(words)
    distinct = pc.unique(words).to_pylist()
    known = [
        word
        for word in distinct
        if word is not None
        and all(
            currency_code(part) is not None or is_credit_word(part)
            for part in word.replace("$", " $ ").split()
        )
    ]
    return pc.is_in(words, value_set=pa.array(known, pa.string()))


def _spaced_well(bare: pa.Array) -> pa.Array:
    """Return which values have spaces between digits only where thousands are grouped."""
    wrong = pc.match_substring_regex(bare, pattern=r"[0-9][ '](?:[0-9]{1,2}(?:[^0-9]|$)|[0-9]{4})")
    return pc.invert(wrong)
