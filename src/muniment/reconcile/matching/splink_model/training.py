"""Probabilities of a model that has none yet, learned from the records without labels."""

from __future__ import annotations

import itertools
from typing import Any, Final

from muniment.reconcile.columns import Column
from muniment.reconcile.matching.match import Progress

_RECALL: Final = 0.7
"""Share of the matches that two or three equal columns are taken to find: Splink's own
recommendation where nothing is known."""

_PAIRS: Final = 1_000_000
"""Random pairs from which the probabilities among strangers are estimated."""

_FILLED: Final = 0.5
"""Share of the records that must have a value before a column can stand for them."""


def train(linker: Any, columns: dict[str, Column], *, prior: bool, tell: Progress) -> list[str]:
    """Train the model of a linker as Splink's guide has it; return what could not be learned.

    The share of matches from records that are equal in two of the most telling columns, `u` from
    random pairs, `m` by expectation maximisation among the records that agree in one column, for
    each of the two or three most telling ones, so that every column is free once.

    Args:
        linker: Splink's.
        columns: that the model compares, by the names that it uses.
        prior: whether the share of matches is to be learned too.
        tell: told of each step.
    """
    from splink import block_on
    from splink.internals.exceptions import EMTrainingException, SplinkException

    notes = []
    telling = _most_telling(columns)
    if prior and len(telling) > 1:
        tell("share of matches", 0.3)
        rules = [block_on(*pair) for pair in itertools.combinations(telling, 2)]
        try:
            linker.training.estimate_probability_two_random_records_match(rules, recall=_RECALL)
        except (SplinkException, ValueError, ZeroDivisionError):
            notes.append(
                "No two records are equal in two columns: the share of matches is a guess."
            )
    tell("random pairs", 0.35)
    linker.training.estimate_u_using_random_sampling(max_pairs=_PAIRS, seed=1)
    for place, name in enumerate(telling):
        tell("expectation maximisation", 0.4 + 0.1 * place)
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(name))
        except (EMTrainingException, SplinkException) as error:
            notes.append(f"Nothing could be learned from records with equal “{name}”: {error}")
    return notes


def _most_telling(columns: dict[str, Column]) -> list[str]:
    """Return up to three columns with many values that most records have."""
    usable = [
        (name, column)
        for name, column in columns.items()
        if column.filled >= _FILLED * max(column.rows, 1)
    ]
    # A column whose every value is another joins no two records: it comes last.
    return [
        name
        for name, _ in sorted(
            usable, key=lambda item: (item[1].uniqueness > 0.98, -item[1].distinct)
        )[:3]
    ]
