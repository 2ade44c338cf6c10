"""Amounts under headers that say nothing, told by their values in a table of dated records.

Where every amount is whole there are no cents to tell them by: `35200.0`, `1200`. What tells then
is that they are written with a sign, or that people agreed on them: of counts and measures one in
ten ends with a zero, of prices, rents and fees far more do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import ColumnType, Role
from muniment.reconcile.inference.plan import Plan
from muniment.reconcile.inference.profile import Profile
from muniment.reconcile.inference.values import Numbers, read_numbers
from muniment.reconcile.inference.words import hinted_roles

_FEWEST: Final = 8
"""Values below which neither their range nor their roundness tells anything."""
_VARIED: Final = 0.2
"""Share of different values, from which they are no ratings, rates or price tags."""
_WIDE: Final = 4.0
"""The 95th percentile against the 5th: years, ages and temperatures lie closer together."""
_LARGE: Final = 100.0
"""What the larger amounts reach: hours, pieces and ages seldom do."""
_ROUND: Final = 0.3
"""Share of values that end with a zero, three times what chance leaves."""
_MOST_PLACES: Final = 3
"""Dinars have thousandths; measures and coordinates have any number of places."""
_NOT_DIGITS: Final = re.compile(r"[^0-9]")


def find_money(plans: Sequence[Plan], profiles: Sequence[Profile]) -> None:
    """Make an amount of each column of numbers whose values say so.

    Only in a table that has dates and no other amount: what has no day is no movement of money,
    and beside a known amount a column of numbers is more likely a quantity.
    """
    roles = {plan.role for plan in plans}
    if Role.amount in roles or Role.date not in roles:
        return
    for plan, profile in zip(plans, profiles, strict=True):
        if plan.role is not Role.number or plan.override is not None or hinted_roles(plan.name):
            continue
        numbers = read_numbers(profile)
        reason = _reason(profile, numbers)
        if reason is not None:
            most = max(numbers.places, default=0)
            plan.role, plan.type = Role.amount, ColumnType.decimal
            plan.scale = max(most, 2) if most else 0
            plan.reason, plan.certainty = reason, 0.6


def _reason(profile: Profile, numbers: Numbers) -> str | None:
    """Return why the values are money, None if they are not."""
    if numbers.percent or profile.distinct.count < _VARIED * profile.filled:
        return None
    if max(numbers.places, default=0) > _MOST_PLACES:
        return None
    read = [_read(value, numbers.decimal_sign) for value in profile.sample]
    values = np.array([number for number in read if number], dtype=np.float64)
    sizes = np.abs(values)
    if len(sizes) < _FEWEST:
        return None
    low, high = np.percentile(sizes, (5, 95))
    if high < _WIDE * low or high < _LARGE:
        return None
    if min((values < 0).sum(), (values > 0).sum()) >= 2:
        return "numbers of a wide range with both signs, in a table with dates"
    if _ends_with_zero(sizes) >= _ROUND:
        return "round numbers of a wide range, in a table with dates"
    return None


def _read(value: str, decimal_sign: str) -> float:
    """Return one value as a number; 0 where it is none."""
    whole, _, part = value.partition(decimal_sign)
    digits = _NOT_DIGITS.sub("", whole)
    if not digits or (part and not part.isdecimal()):
        return 0.0
    number = float(f"{digits}.{part or 0}")
    return -number if value.startswith(("-", "\N{MINUS SIGN}")) else number


def _ends_with_zero(sizes: npt.NDArray[np.float64]) -> float:
    """Return the share of whole values that end with a zero, of those large enough to say."""
    large = sizes[sizes >= _LARGE]
    if len(large) < _FEWEST:
        return 0.0
    return float(np.mean(large % 10 == 0))
