"""Codes that name a record, as people write them: ``INV-00150``, ``Invoice #150``, ``inv150``.

Two writings are compared by what is left when separators and leading zeros are dropped, then by
their number alone, then by slips of the pen. How much each kind of likeness says is learnt from
the data (see weights); nothing here knows a format.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from rapidfuzz.distance import OSA

_CODE = re.compile(r"[^\W_]*\d[^\W_]*(?:[-_/#.][^\W_]*\d[^\W_]*)*|[^\W\d_]+[-_/# .]{1,2}\d+")
_PARTS = re.compile(r"\d+|[^\W\d_]+")
_FEWEST_FOR_SLIPS = 4
"""Digits from which one wrong digit still names: of three, too many other numbers are near."""


class Likeness(IntEnum):
    """How near two codes are, from far to near."""

    none = 0
    """A code was given, and it does not name this record."""
    slip = 1
    """One digit wrong, two exchanged, one too many or missing."""
    number = 2
    """The same number, other letters or leading zeros."""
    same = 3
    """The same but for case, separators and leading zeros."""


class Reference(NamedTuple):
    """A code taken apart."""

    key: str
    """Letters and numbers without separators and leading zeros: ``inv150``."""
    number: str
    """The last number without leading zeros: ``150``."""
    digits: str
    """The last number as it was written: ``00150``."""
    letters: str


@lru_cache(maxsize=200_000)
def parse(code: str) -> Reference | None:
    """Take a code apart; None if it has no digit."""
    parts = _PARTS.findall(code.casefold())
    numbers = [p for p in parts if p.isdigit()]
    if not numbers:
        return None
    key = "".join((p.lstrip("0") or "0") if p.isdigit() else p for p in parts)
    letters = "".join(p for p in parts if not p.isdigit())
    return Reference(key, numbers[-1].lstrip("0") or "0", numbers[-1], letters)


def references_of(text: str, *, whole: bool) -> list[Reference]:
    """Return the codes in a text.

    Args:
        text: the value of a cell.
        whole: the cell is one code, whatever it looks like; otherwise codes are searched in it.
    """
    if whole:
        one = parse(text)
        return [one] if one else []
    found = [parse(match) for match in _CODE.findall(text)]
    return list(dict.fromkeys(r for r in found if r is not None))


@dataclass(slots=True)
class CodeIndex:
    """Finds the records that a code names."""

    keys: dict[str, list[int]]
    numbers: dict[str, list[int]]
    slips: dict[str, list[int]]
    """By the digits with one left out."""
    written: dict[int, set[str]]

    @classmethod
    def build(cls, codes: Sequence[Iterable[Reference]]) -> CodeIndex:
        """Index the codes of every record."""
        keys: dict[str, list[int]] = defaultdict(list)
        numbers: dict[str, list[int]] = defaultdict(list)
        slips: dict[str, list[int]] = defaultdict(list)
        written: dict[int, set[str]] = defaultdict(set)
        for position, references in enumerate(codes):
            for reference in references:
                keys[reference.key].append(position)
                numbers[reference.number].append(position)
                written[position].add(reference.digits)
                for partial in _one_left_out(reference.digits):
                    slips[partial].append(position)
        return cls(dict(keys), dict(numbers), dict(slips), dict(written))

    def find(self, reference: Reference, limit: int) -> dict[int, Likeness]:
        """Return the records a code may name, at most `limit` of each kind of likeness.

        A code that more than `limit` records carry names a party, not a record: it finds none.
        """
        found: dict[int, Likeness] = {}
        same = self.keys.get(reference.key, ())
        if len(same) > limit:
            return found
        number = self.numbers.get(reference.number, ())
        if len(number) <= limit:
            found.update(dict.fromkeys(number, Likeness.number))
        found.update(dict.fromkeys(same, Likeness.same))
        if found or len(reference.digits) < _FEWEST_FOR_SLIPS:
            return found
        near: Counter[int] = Counter()
        for partial in {reference.digits, *_one_left_out(reference.digits)}:
            near.update(self.slips.get(partial, ()))
        for position, _ in near.most_common(limit * 4):
            if len(found) >= limit:
                break
            if any(OSA.distance(reference.digits, w) <= 1 for w in self.written[position]):
                found[position] = Likeness.slip
        return found


def _one_left_out(digits: str) -> set[str]:
    """Return the digits with each one left out, and as they are: one slip apart share one."""
    if not _FEWEST_FOR_SLIPS <= len(digits) <= 16:
        return set()
    return {digits, *(digits[:i] + digits[i + 1 :] for i in range(len(digits)))}
