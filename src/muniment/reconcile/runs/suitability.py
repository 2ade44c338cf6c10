"""Whether a run may compare only the records that are new since the last one."""

from __future__ import annotations

import asyncpg


def why_not_incremental(
    last: asyncpg.Record | None, datasets: list[asyncpg.Record], rules_version: int
) -> str | None:
    """Return why a run of only new records is not possible, in a sentence; None if it is.

    Args:
        last: row of `last_comparison`.
        datasets: rows of `datasets_to_compare`.
        rules_version: of the reconciliation.
    """
    if last is None:
        return "There was no run before."
    if last["model_hash"] is None:
        return "The last run has learned nothing that one of only new records could go by."
    compared = last["versions"]
    if compared.get("rules") != rules_version:
        return "The rules have changed since the last run."
    if {dataset["side"] for dataset in datasets} != compared.keys() - {"rules"}:
        return "There are other datasets than at the last run."
    for dataset in datasets:
        if dataset["changed_version"] > compared[dataset["side"]]:
            return (
                f"More has changed on the side {dataset['side']} since the last run than that "
                "records were added."
            )
    return None
