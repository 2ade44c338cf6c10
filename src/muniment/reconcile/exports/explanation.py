"""Why two records are a match, in one line for people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from muniment.reconcile.matching.match import FieldEvidence

_LONGEST_VALUE = 60
_SAME = 0.995
_SPACES = re.compile(r"\s+")


def explain(evidence: Iterable[FieldEvidence]) -> str:
    """Return what agreed and how much it weighed, what weighed most first.

    ``name: Müller GmbH = Mueller (+6.1); amount: equal (+8.0)``. A weight is the base-2
    logarithm of the likelihood ratio, see `FieldEvidence`; fields that say nothing are left out.
    """
    fields = list(evidence)
    # A model that has learned nothing weighs nothing; what was compared is said all the same.
    telling = [field for field in fields if round(field.weight, 1) != 0] or fields
    telling.sort(key=lambda field: -abs(field.weight))
    return "; ".join(_told(field) for field in telling)


def _told(field: FieldEvidence) -> str:
    left, right = _SPACES.sub(" ", field.left).strip(), _SPACES.sub(" ", field.right).strip()
    name = field.field_left or field.field_right
    if field.field_right and field.field_right != name:
        name = f"{name} / {field.field_right}"
    if left == right:
        said = f"{_short(left)} equal" if left else "equal"
    elif (part := _part(field)) is not None:
        said = part
    else:
        said = f"{_short(left) or '–'} {_sign(field.agreement)} {_short(right) or '–'}"
    return f"{name}: {said} ({field.weight:+.1f})"


def _part(field: FieldEvidence) -> str | None:
    """Return ``585.00 of 1737.75`` where one amount is a member of the sum that the other is."""
    if field.agreement < _SAME:
        return None
    try:
        amounts = Decimal(field.left), Decimal(field.right)
    except InvalidOperation:
        return None
    if amounts[0] == amounts[1] or not all(amount.is_finite() for amount in amounts):
        return None
    return f"{min(amounts, key=abs)} of {max(amounts, key=abs)}"


def _sign(agreement: float) -> str:
    if agreement >= _SAME:
        return "="
    return "≈" if agreement >= 0.5 else "≠"


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
