"""Types and roles of the columns of a dataset: from their values, headers being a weak hint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from muniment.reconcile.columns import ColumnType, Role
from muniment.reconcile.inference.formats import is_phone
from muniment.reconcile.inference.keys import STRONG, key_strength, rank_keys
from muniment.reconcile.inference.money import find_money
from muniment.reconcile.inference.plan import Override, Plan
from muniment.reconcile.inference.profile import Profile
from muniment.reconcile.inference.text import decide_text, is_code, is_email
from muniment.reconcile.inference.values import (
    Numbers,
    compact_order,
    is_currency,
    read_numbers,
    share_of_dates,
)
from muniment.reconcile.inference.words import hinted_roles

FITS: Final = 0.9
"""Share of values that must have a form for the column to be of it; the others are odd values.
One typing error in ten is more than a column that is kept at all has."""

UNIQUE: Final = 0.97
"""Share of distinct values of a key: an estimate is off by up to 2.4 % (three deviations)."""

_SOME: Final = 10
"""Values below which their being unique is no wonder."""

_SMALL_INTEGER_WIDTH: Final = 4
_MOST_PLACES: Final = 6


def infer(
    profiles: Sequence[Profile], overrides: Mapping[str, Override] | None = None
) -> list[Plan]:
    """Decide on the type and role of each column."""
    plans = []
    for profile in profiles:
        override = (overrides or {}).get(profile.name)
        plan = _column(profile)
        if override is not None:
            _apply(plan, profile, override)
        plans.append(plan)
    rank_keys(plans, profiles)
    _one_identifier(plans)
    find_money(plans, profiles)
    _units(plans)
    return plans


def _column(profile: Profile) -> Plan:
    plan = Plan(profile.name)
    hints = hinted_roles(profile.name)
    if not profile.filled:
        plan.role = next(iter(hints), Role.free_text)
        plan.reason, plan.certainty = "every cell is empty", 0.1
        return plan
    values = profile.distinct.exact_values()
    share = sum(map(is_email, profile.sample)) / len(profile.sample)
    if share >= FITS:
        plan.say(Role.email, f"{share:.0%} of the values are e-mail addresses")
    elif key_strength(profile.name) >= STRONG and _may_name(profile):
        plan.key = True
        plan.say(Role.identifier, "unique values under a header that says so")
    elif values and len(values) <= 200 and is_currency(values):
        plan.say(Role.currency, "all values are currency codes or signs")
    elif share_of_dates(profile) >= FITS:
        plan.say(Role.date, f"{share_of_dates(profile):.0%} of the values are dates")
        plan.type = ColumnType.date
    elif profile.shapes["99999999"] >= FITS * profile.filled and (
        order := compact_order(profile.sample)
    ):
        plan.say(Role.date, "the values are dates of eight digits")
        plan.type, plan.compact_dates, plan.date_order = ColumnType.date, True, order
    elif _phones(profile, hints) >= FITS:
        plan.say(Role.phone, "the values are grouped digits, as telephone numbers are")
    else:
        numbers = read_numbers(profile)
        if numbers.fitting >= FITS * profile.filled and not _coded(profile, numbers, hints):
            _number(plan, profile, numbers, hints)
        else:
            decide_text(plan, profile, hints, unique=_unique(profile))
    return plan


def _unique(profile: Profile) -> bool:
    """Return whether the values could be keys: complete, and each of them once."""
    if profile.empty or profile.filled < 2:
        return False
    return profile.distinct.count >= UNIQUE * profile.filled


def _may_name(profile: Profile) -> bool:
    """Return whether unique values can be names of records, whatever else they look like.

    Eight digits may be a date, grouped digits a telephone number: not under such a header.
    """
    if not _unique(profile) or share_of_dates(profile) >= FITS:
        return False
    numbers = read_numbers(profile)
    if numbers.currency and not _coded(profile, numbers, ()):
        return False
    if any(numbers.places[places] for places in numbers.places if places):
        # 12.50 is a measure; 12.0 is a whole number that passed through a float.
        return all(value.endswith(".0") for value in profile.sample if "." in value)
    words = sum(len(value.split()) for value in profile.sample) / len(profile.sample)
    digits = sum(any(map(str.isdigit, value)) for value in profile.sample)
    return words < 1.5 or (words <= 3 and digits >= 0.8 * len(profile.sample))


def _coded(profile: Profile, numbers: Numbers, hints: Sequence[Role]) -> bool:
    """Return whether letters before whole numbers make codes: `R12`, `CAD-0012` are no money."""
    if not numbers.currency or numbers.grouped or max(numbers.places) or Role.amount in hints:
        return False
    return sum(value[:1].isalpha() for value in profile.sample) * 2 > len(profile.sample)


def _phones(profile: Profile, hints: Sequence[Role]) -> float:
    hinted = Role.phone in hints
    count = 0
    for shape, times in profile.shapes.items():
        plain = hinted and 6 <= shape.count("9") <= 15 and "a" not in shape
        count += times * (plain or is_phone(shape))
    return count / profile.filled


def _number(plan: Plan, profile: Profile, numbers: Numbers, hints: Sequence[Role]) -> None:
    """Decide between amounts, codes in digits, and plain numbers."""
    plan.decimal_sign = numbers.decimal_sign
    plan.currency = numbers.code
    most = max(numbers.places, default=0)
    money = numbers.currency or numbers.parentheses or numbers.trailing_minus
    if numbers.percent * 2 > numbers.fitting:
        plan.type = ColumnType.number
        plan.say(Role.number, "the values are percentages")
    elif money:
        _amount(plan, most, "the values carry currency signs or the marks of credits", 1.0)
    elif numbers.whole >= FITS * numbers.fitting and most == 0:
        _whole(plan, profile, numbers, hints)
    elif Role.amount in hints and Role.number not in hints and most <= _MOST_PLACES:
        _amount(plan, most, "decimal numbers under a header that says amount", 0.95)
    elif most == 2 and hints[:1] != (Role.number,):
        _amount(plan, most, "numbers with up to two decimal places", 0.7)
    elif most <= 2 and numbers.grouped and Role.number not in hints:
        _amount(plan, most, "numbers with grouped thousands", 0.7)
    else:
        plan.type = ColumnType.number
        plan.say(Role.number, "numbers with decimal places that are not cents", 0.8)


def _amount(plan: Plan, places: int, reason: str, certainty: float) -> None:
    plan.type, plan.scale = ColumnType.decimal, _scale(places)
    plan.say(Role.amount, reason, certainty)


def _scale(places: int) -> int:
    """Return the places of a decimal column: cents where there is any fraction at all."""
    return min(max(places, 2), _MOST_PLACES) if places else 0


def _whole(plan: Plan, profile: Profile, numbers: Numbers, hints: Sequence[Role]) -> None:
    """Decide on a column of whole numbers: keys, codes, parts of addresses, counts, years."""
    hint = next((role for role in hints if role is not Role.name), None)
    if Role.address in hints and hint in (Role.reference, Role.number):
        # `street number`, `house no`: what the number is of says more than that it is one.
        hint = Role.address
    widths = numbers.widths
    same_width = len(widths) == 1 and not numbers.grouped
    wide = same_width and next(iter(widths)) > _SMALL_INTEGER_WIDTH
    zeros = sum(value[:1] == "0" and len(value) > 1 for value in profile.sample)
    if hint is Role.address:
        plan.say(Role.address, "whole numbers under a header that says a part of an address", 0.8)
        return
    if hint is Role.amount and not zeros:
        _amount(plan, 0, "whole numbers under a header that says amount", 0.8)
        return
    if hint is not Role.number and _is_years(profile, widths):
        plan.type = ColumnType.integer
        plan.say(Role.number, "the values are years", 0.9)
        return
    codes = hint in (Role.identifier, Role.reference) or zeros or wide
    # Nobody begins a table with a measure, if its header does not say which.
    unhinted_first = profile.index == 0 and not hints and profile.filled >= _SOME
    dense = _unique(profile) and (_dense(profile) or unhinted_first)
    if (codes or dense) and hint is not Role.number:
        plan.key = _unique(profile)
        reason = (
            "unique whole numbers" if plan.key else "whole numbers of one length or leading zeros"
        )
        plan.say(Role.identifier if plan.key else Role.reference, reason, 0.8)
        return
    plan.type = ColumnType.integer
    if max(widths, default=0) > 18:
        plan.type = ColumnType.number
    plan.say(Role.number, "whole numbers", 0.7)


def _is_years(profile: Profile, widths: Mapping[int, int]) -> bool:
    if set(widths) != {4}:
        return False
    years = [1800 <= int(value) <= 2100 for value in profile.sample if value.isdecimal()]
    return bool(years) and sum(years) >= FITS * len(years)


def _dense(profile: Profile) -> bool:
    """Return whether unique numbers lie close together, as numbers given one after the other."""
    numbers = [int(value) for value in profile.sample if value.isdecimal()]
    if len(numbers) < FITS * len(profile.sample):
        return False
    spread = max(numbers) - min(numbers)
    if profile.filled < 10:
        return spread == profile.filled - 1  # of a few numbers only 1, 2, 3 tell anything
    # A selection from a numbered list is sparser than the list, as one half of a table is.
    return spread < 4 * profile.filled


def _apply(plan: Plan, profile: Profile, override: Override) -> None:
    """Let a person's decision take the place of the inference."""
    numbers = read_numbers(profile)
    typed = {Role.amount: ColumnType.decimal, Role.date: ColumnType.date}
    role = override.role or plan.role
    if override.role is not None and override.type is None:
        plan.type = typed.get(role, ColumnType.text)
        if role is Role.number:
            plan.type = ColumnType.number if max(numbers.places, default=0) else ColumnType.integer
    if override.type is not None:
        plan.type = override.type
    plan.decimal_sign = override.decimal_sign or numbers.decimal_sign
    if plan.type is ColumnType.decimal:
        plan.scale = _scale(max(numbers.places, default=0))
        plan.currency = numbers.code
    if plan.type is ColumnType.date and (order := compact_order(profile.sample)):
        plan.compact_dates, plan.date_order = True, order
    if override.day_first is not None:
        plan.date_order = "dmy" if override.day_first else "mdy"
    plan.override = override
    if override.role is None and override.type is None:
        plan.reason += "; read as a person wants it"
        return
    plan.key = role is Role.identifier
    plan.say(role, "chosen by a person")


def _chosen(plan: Plan) -> bool:
    return plan.override is not None and plan.override.role is not None


def _one_identifier(plans: Sequence[Plan]) -> None:
    """Leave the identifier to one column: a record has one; other unique codes are references."""
    keys = [plan for plan in plans if plan.role is Role.identifier]
    if len(keys) < 2:
        return

    best = max(keys, key=lambda plan: plan.key_rank)
    for plan in keys:
        if plan is not best and not _chosen(plan):
            plan.role, plan.key = Role.reference, False
            plan.reason += "; another column identifies the record"
            plan.certainty = min(plan.certainty, 0.7)


def _units(plans: Sequence[Plan]) -> None:
    """Join each amount without a currency of its own to the nearest column of currencies."""
    places = [place for place, plan in enumerate(plans) if plan.role is Role.currency]
    for place, plan in enumerate(plans):
        if plan.role is Role.amount and plan.currency is None and places:
            plan.unit = plans[min(places, key=lambda other: (abs(other - place), -other))].name


__all__ = ["infer", "is_code"]
