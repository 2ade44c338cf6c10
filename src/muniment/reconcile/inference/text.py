"""Roles of columns of words: codes, names, addresses, categories, free text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from muniment.reconcile.columns import ColumnType, Role
from muniment.reconcile.inference.plan import Plan
from muniment.reconcile.inference.profile import Profile

_EMAIL: Final = re.compile(
    r"^(?:mailto:)?<?[^@\s<>]{1,64}@[^@\s<>]+\.[a-z]{2,24}>?$", re.IGNORECASE
)

_CODE: Final = re.compile(
    r"^(?=[^\d]{0,24}\d)[\w#]{1,12}(?:[-_/#.:\\|~ ]{1,2}\w{1,24}){0,5}$"
    r"|^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    re.IGNORECASE,
)
_LINK: Final = re.compile(r"^(?:https?://|www\.)\S+$", re.IGNORECASE)

_STREET: Final = re.compile(
    r"\b(?:st|street|ave?|avenue|rd|road|blvd|blv|boulevard|ln|lane|dr|drive|ct|court|pl|place|sq|"
    r"square|hwy|highway|pkwy|parkway|terrace|tce|cres|crescent|circuit|cct|close|way|floor|suite|"
    r"apt|unit|p\.? ?o\.? box|rue|quai|allée|allee|impasse|chemin|via|viale|piazza|corso|calle|"
    r"avenida|plaza|paseo|carrera|rua|travessa|praça|praca|ul|ulica|aleja|osiedle|str|gasse|"
    r"weg|platz|allee|damm|ufer|ring|laan|plein|gracht|kade|gata|gatan|vägen|vagen|vej|gade|veien)\b"
    r"|(?:straße|strasse|str\.|gasse|weg|platz|allee|laan|straat|plein|gracht|gatan|vägen|vej|gade)\b",
    re.IGNORECASE,
)
_HOUSE: Final = re.compile(
    r"^\d+\s?[a-z]?[\s,]+\S*[^\W\d]{2,}|[^\W\d]{2,}\.?,?\s+\d+\s?[a-z]?(?:[,/ ]|$)", re.IGNORECASE
)

_YES_NO: Final = (
    frozenset({"yes", "no"}), frozenset({"y", "n"}), frozenset({"true", "false"}),
    frozenset({"t", "f"}), frozenset({"ja", "nein"}), frozenset({"ja", "nee"}),
    frozenset({"oui", "non"}), frozenset({"si", "no"}), frozenset({"sí", "no"}),
    frozenset({"sim", "não"}), frozenset({"tak", "nie"}), frozenset({"wahr", "falsch"}),
    frozenset({"vrai", "faux"}),
)  # fmt: skip
TRUE_WORDS: Final = frozenset(
    {"yes", "y", "true", "t", "ja", "oui", "si", "sí", "sim", "tak", "wahr", "vrai", "1"}
)
FALSE_WORDS: Final = frozenset(
    {"no", "n", "false", "f", "nein", "nee", "non", "não", "nie", "falsch", "faux", "0"}
)

_SENTENCE: Final = 5.0
"""Words of a value above which a column is text rather than names, if its header says nothing."""

_TEXT_ROLES: Final = (
    Role.name, Role.address, Role.category, Role.free_text, Role.reference,
)  # fmt: skip


def is_email(value: str) -> bool:
    """Return whether a value is an e-mail address."""
    return "@" in value and _EMAIL.match(value) is not None


def is_code(value: str) -> bool:
    """Return whether a value is a code: letters and digits, one or two groups, as `INV-0042`."""
    return len(value) <= 48 and _CODE.match(value) is not None and len(value.split()) <= 2


def decide_text(plan: Plan, profile: Profile, hints: Sequence[Role], *, unique: bool) -> None:
    """Decide on a column that is neither numbers nor dates."""
    sample, filled = profile.sample, profile.filled
    size = len(sample)
    codes = sum(map(is_code, sample)) / size
    links = sum(_LINK.match(value) is not None for value in sample) / size
    words = sum(len(value.split()) for value in sample) / size
    streets = sum(_is_street(value) for value in sample) / size
    distinct = profile.distinct.count
    repeated = filled / max(distinct, 1)
    values = profile.distinct.exact_values() or set()
    if len(values) == 2 and {value.casefold() for value in values} in _YES_NO:
        plan.type = ColumnType.boolean
        plan.say(Role.category, "the values are yes and no", 1.0)
    elif streets >= 0.5:
        plan.say(Role.address, f"{streets:.0%} of the values read as street addresses", 0.9)
    elif codes >= 0.8 and Role.address not in hints and hints[:1] != (Role.name,):
        plan.key = unique
        what = "unique codes" if unique else "codes of letters and digits"
        plan.say(Role.identifier if unique else Role.reference, what, 0.9)
    elif links >= 0.8:
        plan.key = unique
        plan.say(Role.identifier if unique else Role.reference, "the values are links", 0.8)
    elif unique and words < 1.5 and Role.identifier in hints:
        plan.key = True
        plan.say(Role.identifier, "unique words under a header that says so", 0.8)
    else:
        _words(plan, hints, words=words, distinct=distinct, repeated=repeated, filled=filled)


def _words(
    plan: Plan,
    hints: Sequence[Role],
    *,
    words: float,
    distinct: int,
    repeated: float,
    filled: int,
) -> None:
    """Decide between names, places, categories and text, which headers tell better than values."""
    hint = next((role for role in hints if role in _TEXT_ROLES), None)
    # Few values that come again and again; a list of names repeats too, but has many of them.
    few = repeated >= 5 and distinct <= max(12, filled**0.5)
    if hint is Role.category and repeated < 2 and words > _SENTENCE:
        hint = None
    if hint is Role.reference:
        # Words below a header such as `customer` or `konto` are names, if they are no codes.
        hint = Role.name if Role.name in hints else Role.reference
    if hint is not None:
        plan.say(hint, f"words under a header that says {hint.value.replace('_', ' ')}", 0.75)
        # First names repeat in any long list of people; a dozen values are a list to choose from.
        if few and distinct <= 12 and hint in (Role.name, Role.free_text):
            plan.say(Role.category, f"only {distinct} different values", 0.6)
    elif few:
        plan.say(Role.category, f"only {distinct} different values", 0.8)
    elif words < _SENTENCE:
        plan.say(Role.name, "short texts, most of them words", 0.5)
    else:
        plan.say(Role.free_text, f"texts of {words:.0f} words on average", 0.6)


def _is_street(value: str) -> bool:
    return any(sign.isdigit() for sign in value) and (
        _STREET.search(value) is not None and _HOUSE.search(value) is not None
    )
