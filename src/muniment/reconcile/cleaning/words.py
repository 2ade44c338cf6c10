"""Cleaning of text: spaces, case, accents, entities, telephone numbers, e-mail addresses."""

from __future__ import annotations

import html
from collections.abc import Callable, Collection
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.cleaning.changes import Changes
from muniment.reconcile.columns import Role, TextCleaning

# Marks are removed from Latin, Greek and Cyrillic letters only. Elsewhere they are no accents:
# they tell か from が and are the vowels of Devanagari.
_ACCENT: Final = r"([\p{Latin}\p{Greek}аеиоуіѐ])[\x{300}-\x{36f}]+"
_LETTERS: Final = (
    ("ß", "ss"), ("ø", "o"), ("ł", "l"), ("đ", "d"), ("æ", "ae"), ("œ", "oe"), ("þ", "th"),
    ("ð", "d"), ("ı", "i"), ("ħ", "h"),
)  # fmt: skip
"""Letters that Unicode does not take apart, as they are typed on a keyboard without them."""

_UGLY_SPACES: Final = ("  ", "\n", "\t", "\r", "\x0b", "\x0c")


def clean_text(
    values: pa.Array, role: Role, changes: Changes, without: Collection[TextCleaning] = ()
) -> pa.Array:
    """Return cleaned strings; nulls stay.

    An identifier keeps its letters as they are, for its case may matter; a reference is lower
    case, for people copy it by hand; everything else loses its accents too.

    Args:
        values: strings; null where empty.
        role: of the column.
        changes: takes the account.
        without: what is not done.
    """
    if TextCleaning.spaces not in without:
        values = spaces(values, changes)
    for step in _steps(role):
        if step not in without and _concerned(step, values):
            after = _STEPS[step](values)
            changes.compare(step.value, values, after)
            values = after
    return values


def _steps(role: Role) -> tuple[TextCleaning, ...]:
    """Return what is done to text of a role, in order, after the spaces."""
    signs: tuple[TextCleaning, ...] = (TextCleaning.entities, TextCleaning.compatibility)
    if role is Role.identifier:
        return signs
    signs = (*signs, TextCleaning.case)
    if role is Role.email:
        return (*signs, TextCleaning.address_sign)
    if role is Role.phone:
        return (*signs, TextCleaning.telephone)
    return signs if role is Role.reference else (*signs, TextCleaning.accents)


def _concerned(step: TextCleaning, values: pa.Array) -> bool:
    """Return whether a costly step can change anything."""
    if step is TextCleaning.entities:
        return pc.any(pc.match_substring(values, "&")).as_py() is True
    if step in (TextCleaning.compatibility, TextCleaning.accents):
        return pc.all(pc.string_is_ascii(values)).as_py() is False
    return True


def spaces(values: pa.Array, changes: Changes) -> pa.Array:
    """Return strings without spaces at their ends, others single; empty ones are null."""
    cleaned = pc.utf8_trim_whitespace(values)
    if any(pc.any(pc.match_substring(cleaned, ugly)).as_py() for ugly in _UGLY_SPACES):
        cleaned = pc.replace_substring_regex(cleaned, pattern=r"\s+", replacement=" ")
    changes.compare("spaces", values, cleaned)
    return pc.if_else(pc.equal(cleaned, ""), pa.scalar(None, pa.string()), cleaned)


def _normalized(values: pa.Array) -> pa.Array:
    text = pc.utf8_normalize(values, form="NFKC")
    # Compatibility makes spaces of other kinds plain ones; those may now be double.
    return pc.utf8_trim_whitespace(
        pc.replace_substring_regex(text, pattern=r"\s{2,}", replacement=" ")
    )


def _unescaped(values: pa.Array) -> pa.Array:
    marked = pc.match_substring_regex(values, pattern=r"&(#[0-9]+|#x[0-9a-fA-F]+|[a-zA-Z]+);")
    if not pc.any(marked).as_py():
        return values
    marked = marked.fill_null(False)
    changed = [html.unescape(value) for value in values.filter(marked).to_pylist()]
    return pc.replace_with_mask(values, marked, pa.array(changed, pa.string()))


def _without_accents(values: pa.Array) -> pa.Array:
    apart = pc.utf8_normalize(values, form="NFKD")
    bare = pc.replace_substring_regex(apart, pattern=_ACCENT, replacement=r"\1")
    for letter, plain in _LETTERS:
        bare = pc.replace_substring(bare, letter, plain)
    return pc.utf8_normalize(bare, form="NFC")


def _bare_email(values: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(values, pattern=r"^mailto:|^<|>$", replacement="")


def _digits(values: pa.Array) -> pa.Array:
    international = pc.replace_substring_regex(values, pattern=r"^\(?00", replacement="+")
    # +44 (0)20: the zero in parentheses is dialled only within the country.
    international = pc.replace_substring_regex(
        international, pattern=r"^(\+[0-9 ]+)\(0\)", replacement=r"\1"
    )
    plus = pc.if_else(pc.starts_with(international, "+"), "+", "")
    digits = pc.replace_substring_regex(international, pattern=r"[^0-9]", replacement="")
    joined = pc.binary_join_element_wise(plus, digits, "")
    # No digit at all: text such as 'unlisted' is kept as it is.
    return pc.if_else(pc.equal(digits, ""), values, joined)


_STEPS: Final[dict[TextCleaning, Callable[[pa.Array], pa.Array]]] = {
    TextCleaning.entities: _unescaped,
    TextCleaning.compatibility: _normalized,
    TextCleaning.case: pc.utf8_lower,
    TextCleaning.accents: _without_accents,
    TextCleaning.telephone: _digits,
    TextCleaning.address_sign: _bare_email,
}
