"""Which column names the records of a dataset: what is shown of a match, and told in files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from muniment.reconcile.columns import Role
from muniment.reconcile.inference.plan import Plan
from muniment.reconcile.inference.profile import Profile
from muniment.reconcile.inference.words import header_words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEY_WORDS: Final = _words(
    """id ids key uid uuid guid pk identifier identifiant identificador identificativo
    identifikator kennung schluessel clave cle chiave sleutel klucz rowid recordid recid"""
)
_RECORD_WORDS: Final = _words("record rec row entity object item entry line unique")
"""What stands before `id` where it is of the record itself, not of something the record names."""

_THINGS: Final = _words(
    """account acct article bank bill booking case cheque claim client company contact
    contract customer deal delivery device doc document emp employee entity entry event
    file invoice item job journal lead line listing loan match member message node object
    order org page patient payment person policy product project purchase rec receipt
    record ref request restaurant row sale session shipment site sku song source staff
    statement student subscription supplier task ticket track transaction trans transfer
    txn unit user vendor voucher work"""
)
"""Stems of headers such as `customerid`, where no sign parts the words."""

_NUMBER_WORDS: Final = _words(
    """no nr num number nummer numero numer ref reference referenz code invoice voucher
    document beleg belegnummer rechnungsnummer transaction txn order"""
)
_COUNTER_WORDS: Final = _words(
    """index idx row rows line lines lfd pos position seq sequence counter unnamed sno srno"""
)

STRONG: Final = 2.0
"""Strength from which a header alone makes a unique column the identifier."""

_COUNTS: Final = -2.0
"""Of a column that only counts the rows, also as the first one: anything unique says more."""

_FIRST: Final = 1.2
"""What being the first column counts: a number of its own there goes before the id of somebody
else in a later one, not before a column that is called id."""

_ENOUGH: Final = 0.5
_MOST: Final = 0.9


def key_strength(header: str) -> float:
    """Return how strongly a header says that its column names the records.

    3 for `id` and `record_id`, 2 for `transaction_id`, 1 for `invoice no`, 0 if it says nothing,
    -2 for counters such as `index` and columns without a name.
    """
    words = header_words(header)
    if not words:
        # `#` counts the rows; a column without any name often is the index of an export.
        return _COUNTS
    if len(words) == 1 and words[0] in _KEY_WORDS:
        return 3.0
    if words[-1] in _KEY_WORDS or words[0] in _KEY_WORDS:
        rest = [word for word in words if word not in _KEY_WORDS]
        return 3.0 if set(rest) <= _RECORD_WORDS else 2.0
    if any(word.endswith("id") and word[:-2] in _THINGS for word in words):
        return 2.0
    if (
        set(words) <= _COUNTER_WORDS | {"no", "nr", "number", "column"}
        and "column" not in words[1:]
    ):
        counts = bool(_COUNTER_WORDS & set(words)) or words[0] == "column"
        return _COUNTS if counts else 1.0
    return 1.0 if _NUMBER_WORDS & {words[0], words[-1]} else 0.0


def rank_keys(plans: Sequence[Plan], profiles: Sequence[Profile]) -> None:
    """Tell of each column how well it names the records; the best of those that can is 1st.

    Dates, amounts and what else is measured never do. A column that is not unique still may, if
    its header is strong and most of its values stand once: an export with some rows twice.
    """
    for plan, profile in zip(plans, profiles, strict=True):
        plan.key_rank = _rank(plan, profile)


def _rank(plan: Plan, profile: Profile) -> float:
    if plan.override is not None and plan.override.role is not None:
        return 100.0 if plan.role is Role.identifier else 0.0
    if plan.role not in (Role.identifier, Role.reference, Role.name, Role.free_text, Role.number):
        return 0.0
    if not profile.filled:
        return 0.0
    strength = key_strength(plan.name)
    unique = min(1.0, profile.distinct.count / profile.filled)
    complete = profile.filled / profile.rows
    if not plan.key:
        least = _ENOUGH if strength >= STRONG else _MOST
        coded = plan.role is Role.reference and strength > 0
        if not (strength >= STRONG or coded) or min(unique, complete) < least:
            return 0.0
    first = _FIRST if profile.index == 0 else 0.0
    # Those that are unique come first: 10 sets them apart from all that are nearly so.
    return (12.0 if plan.key else 2.0) + strength + first - (unique < 0.999) * 0.5
