"""The order of day and month of a dataset's dates, from all values of each column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import ColumnType
from muniment.reconcile.inference.formats import date_shape
from muniment.reconcile.inference.plan import Override, Plan
from muniment.reconcile.inference.profile import Profile
from muniment.reconcile.inference.values import DayOrder


def decide_day_orders(
    plans: Sequence[Plan],
    profiles: Sequence[Profile],
    batches: Iterable[pa.RecordBatch],
    overrides: Mapping[str, Override] | None = None,
) -> None:
    """Decide for each date column with dates such as 03/04/2024 which part is the day.

    A column whose values do not tell follows the others of its dataset; failing them, the way
    the dataset writes numbers: a decimal comma goes with day first, hours in AM and PM with
    month first. What is left is read with the day first, as most of the world writes it, and
    its certainty says that it is a guess.
    """
    open_ones = [
        place
        for place, plan in enumerate(plans)
        if plan.type is ColumnType.date
        and not plan.compact_dates
        and any(date_shape(shape) == "xxy" for shape in profiles[place].shapes)
    ]
    if not open_ones:
        return
    orders = {place: DayOrder() for place in open_ones}
    for batch in batches:
        for place, order in orders.items():
            order.add(pc.utf8_trim_whitespace(batch.column(place)))
    undecided = []
    for place, order in orders.items():
        plan = plans[place]
        found, reason = order.decide()
        chosen = (overrides or {}).get(plan.name)
        if chosen is not None and chosen.day_first is not None:
            continue
        if found is None:
            undecided.append(place)
        else:
            plan.date_order = found
            plan.reason += f"; {reason}"
    known = {plans[place].date_order for place in open_ones if place not in undecided}
    for place in undecided:
        _guess(plans[place], known, plans, profiles[place])


def _guess(plan: Plan, known: set[str], plans: Sequence[Plan], profile: Profile) -> None:
    plan.date_order = "dmy"
    if len(known) == 1:
        plan.date_order = next(iter(known))
        plan.reason += "; day and month are in the order of the other dates"
        plan.certainty = 0.9
        return
    comma = any(other.type is ColumnType.decimal and other.decimal_sign == "," for other in plans)
    if comma:
        plan.reason += "; read with the day first, as numbers have decimal commas"
        plan.certainty = 0.8
        return
    if any(value.casefold().endswith((" am", " pm")) for value in profile.sample):
        plan.date_order = "mdy"
        plan.reason += "; read with the month first, as hours are in AM and PM"
        plan.certainty = 0.8
        return
    plan.reason += "; day and month cannot be told apart, read with the day first: please check"
    plan.certainty = 0.5
