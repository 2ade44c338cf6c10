"""Lines of evidence that name no payment, or one that is not there: whose they are by amount.

Lines that share everything but amount and reference (payer, day, number of the advice) were
written together, so they are looked at together. They are taken to be those of the payment whose
amount they add up to; of several such, of the one of the like name and the same day. As all
evidence, this is weighed, not believed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.ledger.view import Ledger
from muniment.reconcile.matching.match import day_shown
from muniment.reconcile.matching.party_names import NameModel, words

_SHARED_ROLES = (Role.name, Role.date, Role.reference, Role.identifier, Role.number)
_ALIKE = 0.5
"""Likeness of names from which one speaks for a payment."""
_MOST_PAYMENTS = 20
"""Payments of one amount among which names and days may still decide."""


def adopted(
    evidence: Dataset,
    left: Ledger,
    amounts: Sequence[int | None],
    payers: dict[int, int],
    paid: str,
) -> dict[int, int]:
    """Return by 0-based line of evidence the left record that it is probably about.

    Args:
        evidence: the lines.
        left: the side that pays.
        amounts: of every line, in the ledger's units.
        payers: left record by line, of the lines that name one.
        paid: column of what is paid, which differs between lines written together.
    """
    settled: dict[int, int] = defaultdict(int)
    for row, i in payers.items():
        settled[i] += amounts[row] or 0
    rows = [row for row in range(evidence.rows) if row not in payers]
    by_amount: dict[int, list[int]] = defaultdict(list)
    for i, amount in enumerate(left.amounts.tolist()):
        if left.present[i] and settled.get(i) != amount:
            by_amount[amount].append(i)
    names = [c.name for c in evidence.of_role(Role.name)]
    told = [" ".join(str(v) for v in cells if v) for cells in _cells(evidence, names)]
    spoken = [words(text) for text in told]
    model = NameModel.learn(spoken, [left.text(i) for i in range(len(left))])
    days = [
        {str(v) for v in cells if v is not None}
        for cells in _cells(evidence, [c.name for c in evidence.of_role(Role.date)])
    ]
    found: dict[int, int] = {}
    for group in _together(evidence, rows, paid):
        for lines in (group, *([row] for row in group if len(group) > 1)):
            known = [amounts[row] or 0 for row in lines]
            payments = by_amount.get(sum(known), []) if all(known) else []
            home = _likeliest(left, payments, model, spoken[lines[0]], days[lines[0]])
            if home is not None and not any(row in found for row in lines):
                found.update(dict.fromkeys(lines, home))
                by_amount[sum(known)].remove(home)
    return found


def _cells(evidence: Dataset, names: Sequence[str]) -> list[tuple[object, ...]]:
    columns = [evidence.values(name).to_pylist() for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * evidence.rows


def _together(evidence: Dataset, rows: Sequence[int], paid: str) -> list[list[int]]:
    """Return the lines in sets that share what is not their own."""
    shared = [
        c.name
        for c in evidence.columns
        if c.role in _SHARED_ROLES and c.name != paid and c.uniqueness < 1.0
    ]
    cells = _cells(evidence, shared)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row in rows:
        key = cells[row] if any(v is not None for v in cells[row]) else (row,)
        groups[key].append(row)
    return list(groups.values())


def _likeliest(
    left: Ledger,
    payments: Sequence[int],
    model: NameModel,
    spoken: tuple[str, ...],
    days: set[str],
) -> int | None:
    """Return the payment that lines speak for; None if several do, or its name speaks against."""
    scored: list[tuple[float, int]] = []
    for i in payments[:_MOST_PAYMENTS]:
        alike = model.similarity(spoken, left.text(i)) if spoken else _ALIKE
        if alike >= _ALIKE:
            scored.append((round(alike, 1) + any(day in days for day in _days_of(left, i)), i))
    scored.sort(reverse=True)
    if not scored or (len(scored) > 1 and scored[0][0] == scored[1][0]):
        return None
    return scored[0][1]


def _days_of(left: Ledger, i: int) -> list[str]:
    """Return the days of a record as the evidence writes them."""
    known = (float(days[i]) for days in left.days.values())
    return [day_shown(day) for day in known if not math.isnan(day)]
