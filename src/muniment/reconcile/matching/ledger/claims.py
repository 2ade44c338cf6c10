"""Evidence: what a third dataset, or a record's own text, says of who pays what.

A claim is a line "this left record pays that right record, so much", with either name mistyped,
missing or wrong. Claims are never truth: they weigh as much as the data shows them to be worth
(weights).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from muniment.reconcile.columns import Column, Dataset, Role
from muniment.reconcile.matching.ledger.orphans import adopted
from muniment.reconcile.matching.ledger.references import (
    CodeIndex,
    Likeness,
    Reference,
    references_of,
)
from muniment.reconcile.matching.ledger.signs import amount_columns
from muniment.reconcile.matching.ledger.view import Ledger

NAMED_AT_MOST = 12
"""Records one code may name. More share it, so it names a party or a batch."""
_LINK_ROLES = (Role.identifier, Role.reference, Role.free_text, Role.name, Role.number)


@dataclass(slots=True)
class Claim:
    """One line of evidence about a left record."""

    text: str
    amount: int | None
    named: dict[int, Likeness]
    """Right records it may name, and how near the code is."""
    column: str
    row: int = 0


@dataclass(slots=True)
class Claims:
    """Claims by left record, and codes that left records mention themselves."""

    lines: dict[int, list[Claim]] = field(default_factory=dict)
    mentioned: dict[int, dict[int, Likeness]] = field(default_factory=dict)
    names_both: bool = False
    """Whether the lines have a column for each side."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was read how."""

    @property
    def lines_each(self) -> float:
        """Lines of evidence per left record that has any."""
        return sum(map(len, self.lines.values())) / len(self.lines) if self.lines else 0.0

    def likeness(self, i: int, j: int) -> Likeness | None:
        """Return the nearest naming of a right record; None if nothing was claimed of `i`."""
        lines = self.lines.get(i)
        if not lines:
            return None
        return max((line.named.get(j, Likeness.none) for line in lines), default=Likeness.none)


def own_mentions(left: Ledger, right: Ledger) -> dict[int, dict[int, Likeness]]:
    """Return the right records whose codes stand in the texts of left records, or turned."""
    found: dict[int, dict[int, Likeness]] = defaultdict(dict)
    index = CodeIndex.build(right.codes)
    for i, references in enumerate(left.mentions):
        for reference in references:
            for j, level in index.find(reference, NAMED_AT_MOST).items():
                found[i][j] = max(level, found[i].get(j, Likeness.none))
    index = CodeIndex.build([_telling(codes) for codes in left.codes])
    for j, references in enumerate(right.mentions):
        for reference in references:
            for i, level in index.find(reference, NAMED_AT_MOST).items():
                found[i][j] = max(level, found[i].get(j, Likeness.none))
    return dict(found)


def _telling(codes: list[Reference]) -> list[Reference]:
    return [code for code in codes if len(code.number) >= 2]


def claims_of(evidence: Dataset, left: Ledger, right: Ledger, scale: int) -> Claims:
    """Read an evidence dataset: find its column for each side, and what each line claims."""
    ours = CodeIndex.build(
        [[*codes, *seen] for codes, seen in zip(left.codes, left.mentions, strict=True)]
    )
    theirs = CodeIndex.build(
        [[*codes, *seen] for codes, seen in zip(right.codes, right.mentions, strict=True)]
    )
    columns = [c for c in evidence.columns if c.role in _LINK_ROLES]
    cells = {c.name: _cells(evidence, c) for c in columns}
    found = {c.name: (_named(cells[c.name], ours), _named(cells[c.name], theirs)) for c in columns}
    best: tuple[float, str, str] | None = None
    for one in columns:
        for other in columns:
            if one is not other:
                score = _score(found[one.name][0]) + _score(found[other.name][1])
                if best is None or score > best[0]:
                    best = (score, one.name, other.name)
    if best is None or best[0] == 0.0:
        return Claims(notes=["No column of the evidence names records of either dataset."])
    both = min(_score(found[best[1]][0]), _score(found[best[2]][1])) > 0.0
    amounts = _amounts(evidence, scale)
    payers = {row: i for row, who in enumerate(found[best[1]][0]) if (i := _payer(who)) is not None}
    orphans = evidence.rows - len(payers)
    homes = adopted(evidence, left, amounts, payers, best[2]) if orphans else {}
    lines: dict[int, list[Claim]] = defaultdict(list)
    for row, i in sorted({**payers, **homes}.items()):
        named = found[best[2]][1][row]
        text = cells[best[2]][row][0]
        lines[i].append(Claim(text, amounts[row], named, best[2], row + 1))
    notes = [f"In the evidence {best[1]!r} names the one side, {best[2]!r} the other."]
    if orphans:
        notes.append(
            f"{orphans} lines of the evidence name no payment; {len(homes)} of them were"
            " given to one by amount, name and day."
        )
    return Claims(lines=dict(lines), names_both=both, notes=notes)


def _payer(who: dict[int, Likeness]) -> int | None:
    """Return the record that a line names best; None if several or none."""
    nearest = max(who.values(), default=Likeness.none)
    named = [i for i, level in who.items() if level is nearest]
    return named[0] if len(named) == 1 else None


def _cells(evidence: Dataset, column: Column) -> list[tuple[str, list[Reference]]]:
    values = evidence.values(column.name).to_pylist()
    texts = ["" if v is None else str(v) for v in values]
    whole = column.role is not Role.free_text
    return [(t, references_of(t, whole=whole) if t else []) for t in texts]


def _named(cells: list[tuple[str, list[Reference]]], index: CodeIndex) -> list[dict[int, Likeness]]:
    found: list[dict[int, Likeness]] = []
    for _, references in cells:
        named: dict[int, Likeness] = {}
        for reference in references:
            for position, level in index.find(reference, NAMED_AT_MOST).items():
                named[position] = max(level, named.get(position, Likeness.none))
        found.append(named)
    return found


def _score(found: list[dict[int, Likeness]]) -> float:
    """Return how well a column names records of a side: sure and single namings count most."""
    worth = {Likeness.none: 0.0, Likeness.slip: 0.1, Likeness.number: 0.5, Likeness.same: 1.0}
    scores = [max(worth[level] for level in n.values()) / len(n) if n else 0.0 for n in found]
    return float(np.mean(scores)) if scores else 0.0


def _amounts(evidence: Dataset, scale: int) -> list[int | None]:
    """Return the amount of each line; the first amount column that fits the scale."""
    for column in amount_columns(evidence):
        if column.scale <= scale:
            values: list[int | None] = evidence.minor_units(column.name, scale).to_pylist()
            if any(v is not None for v in values):
                return values
    return [None] * evidence.rows
