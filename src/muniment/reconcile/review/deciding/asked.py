"""Read what a request asks to decide, before anything is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from muniment.reconcile.review.deciding.schemas import Decide, OneDecision
from muniment.reconcile.review.errors import InvalidDecisions
from muniment.reconcile.review.schemas import DecisionAction


class Asked(NamedTuple):
    """A decision upon a match."""

    match_id: UUID
    action: DecisionAction
    version: int
    note: str | None
    place: int
    """In the request."""


class AskedPair(NamedTuple):
    """Two records that are accepted to belong together."""

    left_record_id: UUID
    right_record_id: UUID
    note: str | None
    place: int


def require_one_way(wanted: Decide) -> None:
    """Let a request pass that names decisions, or a filter with an action.

    Raises:
        InvalidDecisions: it names both or neither.
    """
    if (wanted.decisions is None) == (wanted.filter is None):
        raise InvalidDecisions("Give either `decisions`, or `filter` with `action`.")
    if wanted.filter is not None and wanted.action is None:
        raise InvalidDecisions("A `filter` needs an `action`.")
    if wanted.filter is None and (wanted.action is not None or wanted.note is not None):
        raise InvalidDecisions("Give `action` and `note` with each of `decisions`.")


def asked_of(decisions: Sequence[OneDecision]) -> list[Asked | AskedPair]:
    """Return the decisions of a request, each upon a match or upon a pair.

    Raises:
        InvalidDecisions: one is neither, or both; two are upon the same match.
    """
    faults: list[dict[str, str]] = []
    found: list[Asked | AskedPair] = []
    seen: set[object] = set()
    for place, each in enumerate(decisions):
        fault = None
        match each:
            case OneDecision(
                match_id=UUID() as match_id,
                version=int() as version,
                left_record_id=None,
                right_record_id=None,
            ):
                one: Asked | AskedPair = Asked(match_id, each.action, version, each.note, place)
                key: object = match_id
            case OneDecision(
                match_id=None,
                version=None,
                left_record_id=UUID() as left,
                right_record_id=UUID() as right,
            ):
                one, key = AskedPair(left, right, each.note, place), frozenset((left, right))
                if each.action is not DecisionAction.ACCEPT:
                    fault = "Two records that no run has put together can only be accepted."
                elif left == right:
                    fault = "A record cannot be matched with itself."
            case _:
                faults.append(_fault(place, "Give `match_id` with `version`, or two records."))
                continue
        if key in seen:
            fault = "The request decides upon this twice."
        if fault is not None:
            faults.append(_fault(place, fault))
        seen.add(key)
        found.append(one)
    if faults:
        raise InvalidDecisions(errors=faults)
    return found


def _fault(place: int, detail: str) -> dict[str, str]:
    return {"pointer": f"#/decisions/{place}", "detail": detail}
