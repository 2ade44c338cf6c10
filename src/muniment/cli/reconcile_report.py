"""The summary of a reconciliation that a server did, put together from what it answers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from muniment.reconcile.exports.explanation import explain
from muniment.reconcile.matching.match import FieldEvidence
from muniment.reconcile.results.summary import (
    ColumnTaken,
    ComparedColumnPair,
    CurrencySum,
    ShownMatch,
    SideSummary,
    StageCount,
    Summary,
)


def summary_of(get: Callable[..., Any], run: dict[str, Any]) -> Summary:
    """Return the summary of a run.

    Args:
        get: returns the answer to a path below the reconciliation, with parameters.
        run: as the server shows it.
    """
    report = get("/report")
    sides = {
        dataset["side"]: _side(get(f"/datasets/{dataset['side']}"), report)
        for dataset in get("/datasets")["items"]
    }
    counts = report["matches"]
    return Summary(
        kind=run["kind"],
        left=sides["left"],
        right=sides.get("right"),
        evidence=sides.get("evidence"),
        matched=counts["matched"] + counts["accepted"],
        review=counts["review"],
        threshold=run["threshold"],
        stages=[
            StageCount(stage["stage"], stage["matched"] + stage["accepted"], stage["review"])
            for stage in report["stages"]
            if stage["matched"] + stage["accepted"] + stage["review"]
        ],
        compared=msgspec.convert(run["compared"], list[ComparedColumnPair]),
        clusters=None,
        notes=run["notes"],
        first=[
            _shown(match)
            for stage in report["stages"]
            if stage["matched"]
            for match in get("/matches", status="matched", stage=stage["stage"], limit="1")["items"]
        ],
    )


def _side(dataset: dict[str, Any], report: dict[str, Any]) -> SideSummary:
    side = dataset["side"]
    records = next((each for each in report["records"] if each["side"] == side), None)
    columns = [
        ColumnTaken(each["name"], each["role"], each["type"], each["certainty"], each["odd"])
        for each in dataset["columns"]
    ]
    identifiers = [column.name for column in columns if column.role == "identifier"]
    summary = SideSummary(
        dataset["name"],
        dataset["row_count"],
        identifiers[0] if identifiers else None,
        columns,
        dataset["notes"],
    )
    if records is None:
        return summary
    return msgspec.structs.replace(
        summary,
        matched=records["matched"],
        review=records["review"] + records["ambiguous"],
        offset=records["offset"],
        unmatched=records["unmatched"],
        sums=[_sums(side, sums) for sums in report["sums"] if Decimal(sums[side]["total"]) != 0],
    )


def _sums(side: str, sums: dict[str, Any]) -> CurrencySum:
    matched, applied = Decimal(sums[side]["matched"]), Decimal(sums["applied"])
    return CurrencySum(
        sums["currency"],
        matched=matched,
        unmatched=Decimal(sums[side]["open"]),
        # What is applied is told in the currency of the match, which one of the sides may not name.
        settled=applied if applied or not matched else None,
    )


def _shown(match: dict[str, Any]) -> ShownMatch:
    return ShownMatch(
        match["left"]["row"],
        match["right"]["row"],
        match["left"]["identifier"],
        match["right"]["identifier"],
        match["confidence"],
        match["stage"],
        explain(msgspec.convert(match["explanation"], list[FieldEvidence])),
    )
