"""One run of a Splink model: from datasets to matches.

Splink judges the pairs; which of them belong together is decided as for our own model: rivals
compete where a record has one partner, the threshold is where the expected F1 is best, and of one
dataset clusters are made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage.assignment import estimate_uniqueness
from muniment.reconcile.matching.linkage.candidates import Pairs, union
from muniment.reconcile.matching.linkage.comparisons import Compared as Levels
from muniment.reconcile.matching.linkage.decided import decisions
from muniment.reconcile.matching.linkage.describe import Described
from muniment.reconcile.matching.linkage.duplicates import Weighed, conclude
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.learned import Learned
from muniment.reconcile.matching.linkage.link import candidates, choose
from muniment.reconcile.matching.linkage.model import Model, Uniqueness, compete
from muniment.reconcile.matching.linkage.own_pairs import Candidates, own_candidates, own_fields
from muniment.reconcile.matching.linkage.sides import prepare
from muniment.reconcile.matching.match import Progress
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.splink_model.automatic import automatic_settings
from muniment.reconcile.matching.splink_model.backends import Backend, opened
from muniment.reconcile.matching.splink_model.checked import SplinkModel, checked
from muniment.reconcile.matching.splink_model.errors import (
    SplinkFailed,
    SplinkMissing,
    SplinkSettingsUnusable,
)
from muniment.reconcile.matching.splink_model.tables import ROW_ID, Tables, as_text, make_tables
from muniment.reconcile.matching.splink_model.training import train
from muniment.reconcile.rules import Assignment, Rules

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

_LEAST: Final = 0.001
"""Probability below which a pair is not fetched: it could not be shown, nor name a rival."""

_NAMES: Final = ("muniment_a", "muniment_b")
"""Of the two tables: Splink sorts pairs by them, so the left dataset stays on the left."""


@dataclass(frozen=True)
class Judged:
    """What Splink says of the pairs; arrays are by pair, sorted by left and right record."""

    i: Rows
    j: Rows
    weights: Floats
    """Base-2 logarithms of Bayes factors with term frequencies, shape (pairs, comparisons)."""
    odds: float
    """Of any two records."""
    spans: list[tuple[float, float]]
    """Of each comparison the least and the largest weight of a level."""
    notes: list[str]


def find_by_splink(
    left: Dataset,
    right: Dataset | None = None,
    *,
    rules: Rules = Rules(),
    given: Given = Given(),
    backend: Backend = Backend.DUCKDB,
    memory_mb: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Return the matches of two datasets, or the duplicates of one, by a model of Splink.

    Args:
        left: one dataset.
        right: the other; None: duplicates of the first are sought.
        rules: `splink` holds the settings; None: a model is made from the roles of the columns.
        given: decisions of people.
        backend: what runs the model.
        memory_mb: that DuckDB may take.
        progress: told the name of the step that begins and the share of the work done, 0 to 1.

    Raises:
        SplinkMissing: Splink is not installed.
        SparkMissing: Spark is not.
        SplinkSettingsUnusable: the settings describe no model of these columns.
        SplinkFailed: Splink cannot run the model.
    """
    tell = progress or (lambda _step, _share: None)
    tell("model", 0.0)
    settings = rules.splink
    found: Pairs | None = None
    if settings is None or not settings.get("blocking_rules_to_generate_predictions"):
        fields, found = _own_pairs(left, right, rules, given)
        settings = settings or automatic_settings(fields, backend.value)
    if settings.get("sql_dialect", backend.value) != backend.value:
        raise SplinkSettingsUnusable(
            f"The settings are for {settings['sql_dialect']}, and Splink runs on {backend.value}"
        )
    model = checked(settings, backend.value)
    tables = make_tables(left, right, model, rules, backend.value)
    judged = _judged(model, tables, found, backend=backend, memory_mb=memory_mb, tell=tell)
    tell("assignment", 0.9)
    if right is None:
        return _duplicates(left, tables, judged, rules, given)
    return _linkage(left, right, tables, judged, rules=rules, given=given)


def _own_pairs(
    left: Dataset, right: Dataset | None, rules: Rules, given: Given
) -> tuple[list[FieldPair], Pairs]:
    """Return what is compared and the pairs worth comparing, where no blocking rules say so."""
    if right is None:
        fields, side = own_fields(left, rules)
        if side is None:
            return [], (np.zeros(0, np.int64), np.zeros(0, np.int64))
        found = own_candidates(left, fields, side, rules, given)
        return fields, (found.i, found.j)
    fields, ours, theirs = prepare(left, right, rules)
    return fields, union(candidates(fields, ours, theirs), right.rows)


def _judged(
    model: SplinkModel,
    tables: Tables,
    found: Pairs | None,
    *,
    backend: Backend,
    memory_mb: int | None,
    tell: Progress,
) -> Judged:
    """Run the model; once more with every value as text if its types do not fit."""
    try:
        from splink.internals.exceptions import SplinkException
    except ImportError as error:
        raise SplinkMissing from error
    try:
        with opened(backend, memory_mb) as api:
            return _run(model, tables, found, api, tell)
    except SplinkException as error:
        refusal = str(error.__cause__ or error)
        if "cast" not in refusal.lower():
            raise SplinkFailed(f"Splink could not run the model: {refusal[:500]}") from error
    try:
        with opened(backend, memory_mb) as api:
            return _run(model, as_text(tables), found, api, tell)
    except SplinkException as error:
        refusal = str(error.__cause__ or error)
        raise SplinkFailed(f"Splink could not run the model: {refusal[:500]}") from error


def _run(
    model: SplinkModel, tables: Tables, found: Pairs | None, api: Any, tell: Progress
) -> Judged:
    from splink import Linker

    sides = [tables.left] if tables.right is None else [tables.left, tables.right]
    registered = [
        api.register(side, dataset_display_name=name)
        for side, name in zip(sides, _NAMES, strict=False)
    ]
    linker = Linker(registered, _settings(model, tables), log_level=None, validate_settings=False)
    if found is not None:
        linker.table_management.register_blocked_pairs_for_predict(
            api.register(_blocked(found, both=tables.right is not None))
        )
    notes = []
    if not model.trained:
        prior = model.probability_two_random_records_match is None
        notes = train(linker, tables.columns, prior=prior, tell=tell)
    tell("comparisons", 0.6)
    predicted = linker.inference.predict(threshold_match_probability=_LEAST, warning_mode="never")
    table: pa.Table = predicted.as_pyarrow_table()  # type: ignore[no-untyped-call]
    trained = linker.misc.save_model_to_json()
    return _read(table, model, trained, notes)


def _settings(model: SplinkModel, tables: Tables) -> dict[str, Any]:
    """Return the settings for Splink: the model as it was given, all else as the run needs it."""
    settings = _without_none(msgspec.to_builtins(model))
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            # Splink makes no name for a level that has none.
            level["label_for_charts"] = level["label_for_charts"] or level["sql_condition"]
    return {
        **settings,
        "link_type": "dedupe_only" if tables.right is None else "link_only",
        "unique_id_column_name": ROW_ID,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
    }


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_none(one) for one in value]
    return value


def _blocked(found: Pairs, *, both: bool) -> pa.Table:
    """Return pairs as Splink names them in a table of its own."""
    keys: list[Any] = [pa.array(rows) for rows in found]
    if both:
        keys = [
            pc.binary_join_element_wise(name, pc.cast(key, pa.string()), "-__-")
            for name, key in zip(_NAMES, keys, strict=True)
        ]
    names = ["match_key", "join_key_l", "join_key_r"]
    return pa.table([pa.array(["0"] * len(found[0])), *keys], names=names)


def _read(
    predicted: pa.Table, model: SplinkModel, trained: dict[str, Any], notes: list[str]
) -> Judged:
    i, j = (np.asarray(predicted[f"{ROW_ID}_{side}"], np.int64) for side in "lr")
    if "source_dataset_l" in predicted.column_names:
        swapped = np.asarray(pc.equal(predicted["source_dataset_l"], _NAMES[1]))
        i, j = np.where(swapped, j, i), np.where(swapped, i, j)
    else:
        i, j = np.minimum(i, j), np.maximum(i, j)
    weights = np.zeros((len(i), len(model.comparisons)))
    spans = []
    for place, comparison in enumerate(trained["comparisons"]):
        name = str(comparison["output_column_name"]).replace(" ", "_")
        for column in (f"mw_{name}", f"mw_tf_adj_{name}"):
            if column in predicted.column_names:
                weights[:, place] += np.nan_to_num(np.asarray(predicted[column], np.float64))
        spans.append(_span(comparison))
    order = np.lexsort((j, i))
    share = float(trained["probability_two_random_records_match"])
    return Judged(i[order], j[order], weights[order], share / (1 - share), spans, notes)


def _span(comparison: dict[str, Any]) -> tuple[float, float]:
    weights = [
        float(np.log2(max(level["m_probability"], 1e-12) / max(level["u_probability"], 1e-12)))
        for level in comparison["comparison_levels"]
        if "m_probability" in level and "u_probability" in level
    ]
    return (min(weights), max(weights)) if weights else (0.0, 0.0)


def _levels(tables: Tables, judged: Judged) -> tuple[list[FieldPair], list[Levels]]:
    """Return the comparisons as matches are described: how far each is between its levels."""
    fields, levels = [], []
    for place, one in enumerate(tables.compared):
        field = FieldPair(one.left, one.right, Kind.TEXT, few=False)
        low, high = judged.spans[place]
        alike = np.clip((judged.weights[:, place] - low) / max(high - low, 1e-9), 0, 1)
        nothing = np.zeros(len(alike), np.int16)
        fields.append(field)
        levels.append(Levels(field, nothing, 1, alike.astype(np.float32), None))
    return fields, levels


def _duplicates(
    dataset: Dataset, tables: Tables, judged: Judged, rules: Rules, given: Given
) -> Outcome:
    fields, levels = _levels(tables, judged)
    known = decisions(given, dataset, dataset).known(judged.i, judged.j, dataset.rows)
    known += decisions(given, dataset, dataset).known(judged.j, judged.i, dataset.rows)
    one = rules.assignment is Assignment.ONE_TO_ONE
    learned = Learned(0, [], judged.odds, unique_left=one, unique_right=one, threshold=0.5)
    found = Candidates(judged.i, judged.j, known, np.zeros(len(known), np.bool_))
    weights = judged.weights.astype(np.float32)
    outcome = conclude(dataset, Weighed(fields, levels, found, weights), learned, rules)
    return _noted(outcome, judged)


def _linkage(
    left: Dataset, right: Dataset, tables: Tables, judged: Judged, *, rules: Rules, given: Given
) -> Outcome:
    fields, levels = _levels(tables, judged)
    i, j = judged.i, judged.j
    known = decisions(given, left, right).known(i, j, right.rows)
    score = judged.weights.sum(axis=1) + np.log2(judged.odds)
    alone = 1 / (1 + np.exp2(-np.clip(score, -1000, 1000)))
    unique = Uniqueness(left=True, right=True)
    if rules.assignment is Assignment.MANY:
        unique = Uniqueness(left=False, right=False)
    elif rules.assignment is Assignment.AUTO:
        unique = estimate_uniqueness(Model(judged.weights, [], judged.odds, alone), i, j)
    p = compete(score, i, j, unique, known)
    model = Model(judged.weights, [], judged.odds, p)
    linked = choose(fields, levels, (i, j), model, unique=unique, rules=rules, known=known)
    outcome = Outcome(
        "linkage",
        Described(left, right, linked),
        threshold=linked.threshold,
        compared=[(f.left.name, f.right.name, f.left.role) for f in fields],
    )
    return _noted(outcome, judged)


def _noted(outcome: Outcome, judged: Judged) -> Outcome:
    """Return the outcome with what was decided on the way; its model is the settings' own."""
    said = [f"Splink found {len(judged.i)} pairs that are not out of the question."]
    return replace(outcome, notes=[*said, *judged.notes], model=None)
