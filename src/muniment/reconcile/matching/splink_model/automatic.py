"""A model for Splink where nobody has written one: comparisons by the roles of the columns."""

from __future__ import annotations

from typing import Any, Final

from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.splink_model.errors import SplinkMissing, SplinkSettingsUnusable

_LONG: Final = 12.0
"""Mean characters of a value from which it is compared by edits, below by its beginning."""


def automatic_settings(fields: list[FieldPair], dialect: str) -> dict[str, Any]:
    """Return settings without probabilities: they are trained before they are used.

    Args:
        fields: the columns that are about the same thing.
        dialect: `duckdb` or `spark`.

    Raises:
        SplinkMissing: Splink is not installed.
        SplinkSettingsUnusable: no two columns can be compared one with one.
    """
    try:
        import splink.comparison_library as library
    except ImportError as error:
        raise SplinkMissing from error
    comparisons = []
    for field in fields:
        if field.kind in (Kind.CONTAINED, Kind.RECORD, Kind.MARKS):
            continue
        name = field.left.name
        made: Any
        if field.kind in (Kind.DATE, Kind.CODE):
            made = library.DamerauLevenshteinAtThresholds(name, [1, 2])
        elif field.few or field.kind is Kind.NUMBER:
            made = library.ExactMatch(name).configure(term_frequency_adjustments=True)
        elif field.left.mean_length > _LONG:
            made = library.JaccardAtThresholds(name, [0.9, 0.7])
        else:
            made = library.JaroWinklerAtThresholds(name, [0.92, 0.8])
            made = made.configure(term_frequency_adjustments=True)
        comparisons.append(made.create_comparison_dict(dialect))
    if not comparisons:
        raise SplinkSettingsUnusable("No column of one dataset is about the same as one of another")
    return {"comparisons": comparisons, "sql_dialect": dialect}
