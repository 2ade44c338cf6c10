"""Survivorship: which of the values of a cluster's records the golden record is given."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, assert_never
from uuid import UUID

from muniment.reconcile.golden.columns import GoldenColumn
from muniment.reconcile.golden.recency import moment
from muniment.reconcile.rules import Strategy, Survivorship

_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


class Held(NamedTuple):
    """A record of a cluster."""

    record_id: UUID
    side: str
    row: int
    identifier: str | None
    original: Mapping[str, str]
    dated: dt.date | None


class Survivor(NamedTuple):
    """The value of a column, and the record that it is from."""

    value: str
    record_id: UUID


class Survivors:
    """Chooses values by the rules of a reconciliation."""

    def __init__(self, columns: Sequence[GoldenColumn], rules: Survivorship) -> None:
        self._columns = columns
        self._rules = rules
        self._recency = next((c for c in columns if c.name == rules.recency), None)

    def of(self, members: Sequence[Held]) -> dict[str, Survivor]:
        """Return the value of each column that some record has a value of.

        Where a strategy does not tell two records apart, the more complete one goes first, then
        the left one, then that of the smaller row: the same records give the same values.
        """
        ranked = sorted(members, key=self._completeness)
        by_strategy: dict[Strategy, Sequence[Held]] = {}
        found = {}
        for column in self._columns:
            strategy = self._rules.columns.get(column.name, self._rules.default)
            if strategy not in by_strategy:
                by_strategy[strategy] = self._in_order(strategy, ranked)
            held = [
                Survivor(value, member.record_id)
                for member in by_strategy[strategy]
                if (value := column.value(member.side, member.original)) is not None
            ]
            if held:
                found[column.name] = _chosen(strategy, held)
        return found

    def _completeness(self, member: Held) -> tuple[int, str, int]:
        filled = sum(c.value(member.side, member.original) is not None for c in self._columns)
        return -filled, member.side, member.row

    def _in_order(self, strategy: Strategy, ranked: Sequence[Held]) -> Sequence[Held]:
        """Return the records, those first whose values are wanted."""
        match strategy:
            case Strategy.MOST_RECENT:
                moments = {member.record_id: self._moment(member) for member in ranked}
                return sorted(ranked, key=lambda member: moments[member.record_id], reverse=True)
            case Strategy.PREFERRED_SOURCE:
                return sorted(ranked, key=lambda member: member.side != self._rules.preferred)
            case Strategy.MOST_COMPLETE | Strategy.LONGEST | Strategy.MOST_FREQUENT:
                return ranked
        assert_never(strategy)

    def _moment(self, member: Held) -> dt.datetime:
        if self._recency is None:
            return _of_day(member.dated)
        text = self._recency.value(member.side, member.original)
        if text is None:
            return _NEVER
        return moment(text, self._recency.date_formats.get(member.side, "")) or _NEVER


def _of_day(day: dt.date | None) -> dt.datetime:
    return _NEVER if day is None else dt.datetime.combine(day, dt.time(), dt.UTC)


def _chosen(strategy: Strategy, held: Sequence[Survivor]) -> Survivor:
    """Return the best of some values, the first of equally good ones."""
    if strategy is Strategy.LONGEST:
        return max(held, key=lambda one: len(one.value.strip()))
    if strategy is Strategy.MOST_FREQUENT:
        counts = Counter(_plain(one.value) for one in held)
        return max(held, key=lambda one: counts[_plain(one.value)])
    return held[0]


def _plain(value: str) -> str:
    return " ".join(value.casefold().split())
