"""Settings of Splink that anybody may have written, held to what a model needs.

They contain SQL, which is run. So every piece must be one expression over the columns of the two
records: no statement, no query, no table, and only functions that compare values. The database
that runs them is locked as well (see `backends`); neither is relied on alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from muniment.reconcile.matching.splink_model.errors import (
    SplinkMissing,
    SplinkSettingsUnusable,
)

_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_ ]{0,99}$"
Name = Annotated[str, Meta(pattern=_NAME)]
Sql = Annotated[str, Meta(min_length=1, max_length=2_000)]
Chance = Annotated[float, Meta(ge=0, le=1)]

_FUNCTIONS: Final = frozenset(
    [
        "abs",
        "acos",
        "aggregate",
        "array_intersect",
        "array_length",
        "cardinality",
        "ceil",
        "coalesce",
        "concat",
        "concat_ws",
        "cos",
        "asin",
        "damerau_levenshtein",
        "date",
        "date_diff",
        "datediff",
        "date_trunc",
        "day",
        "degrees",
        "doublemetaphone",
        "dmetaphone",
        "dmetaphonealt",
        "epoch",
        "exp",
        "floor",
        "greatest",
        "hamming",
        "if",
        "ifnull",
        "instr",
        "jaccard",
        "jaccard_sim",
        "jaro_similarity",
        "jaro_winkler",
        "jaro_winkler_sim",
        "jaro_winkler_similarity",
        "jarowinkler_similarity",
        "least",
        "left",
        "len",
        "length",
        "levenshtein",
        "levenshtein_distance",
        "list_contains",
        "list_distinct",
        "list_has_any",
        "list_intersect",
        "list_reduce",
        "list_sort",
        "list_transform",
        "list_unique",
        "lower",
        "ltrim",
        "month",
        "nullif",
        "pow",
        "power",
        "radians",
        "regexp_extract",
        "regexp_full_match",
        "regexp_matches",
        "regexp_replace",
        "replace",
        "reverse",
        "right",
        "round",
        "rtrim",
        "sin",
        "size",
        "soundex",
        "split",
        "split_part",
        "sqrt",
        "starts_with",
        "str_split",
        "str_to_date",
        "strftime",
        "string_split",
        "strlen",
        "strptime",
        "strpos",
        "substr",
        "substring",
        "to_date",
        "to_timestamp",
        "trim",
        "trunc",
        "try_cast",
        "try_strptime",
        "try_to_timestamp",
        "unix_timestamp",
        "upper",
        "year",
        "cosine_similarity",
        "array_cosine_similarity",
        "jaro_sim",
        "reduce",
        "str_to_time",
        "str_to_unix",
        "time_to_unix",
        "transform",
        "ts_or_ds_diff",
        "ts_or_ds_to_date",
        "unix_seconds",
        "zip_with",
        "list_cosine_similarity",
        "qgram",
        "tversky",
        "metaphone",
        "doublemetaphone",
    ]
)
"""Functions that a dialect may not know by a class of its own: those that compare and take apart
values. None reads a file, a setting or the environment, or calls into Java."""

_AMBIGUOUS: Final = re.compile(r"--|/\*|\*/|;|\$\$|\x00")

_LEVELS: Final = 50
_COMPARISONS: Final = 100
_RULES: Final = 50


class Level(Struct):
    """One level of a comparison."""

    sql_condition: Sql
    m_probability: Chance | None = None
    u_probability: Chance | None = None
    label_for_charts: str = ""
    is_null_level: bool = False
    tf_adjustment_column: Name | None = None
    tf_adjustment_weight: Annotated[float, Meta(ge=0, le=10)] = 1.0
    tf_minimum_u_value: Chance = 0.0
    disable_tf_exact_match_detection: bool = False
    fix_m_probability: bool = False
    fix_u_probability: bool = False


class Comparison(Struct):
    """How one thing about two records is compared."""

    output_column_name: Name
    comparison_levels: Annotated[list[Level], Meta(min_length=2, max_length=_LEVELS)]
    comparison_description: str = ""


class BlockingRule(Struct):
    """Which pairs are compared."""

    blocking_rule: Sql


class SplinkModel(Struct):
    """What is used of Splink's settings: the model, and which pairs it is for.

    Everything else (names of columns it adds, what it keeps) is set by the run.
    """

    comparisons: Annotated[list[Comparison], Meta(min_length=1, max_length=_COMPARISONS)]
    blocking_rules_to_generate_predictions: Annotated[
        list[BlockingRule | Sql], Meta(max_length=_RULES)
    ] = []
    probability_two_random_records_match: Annotated[float, Meta(gt=0, lt=1)] | None = None
    em_convergence: Annotated[float, Meta(gt=0, lt=1)] = 0.0001
    max_iterations: Annotated[int, Meta(ge=1, le=200)] = 25

    @property
    def rules(self) -> list[str]:
        """Return the SQL of the blocking rules."""
        return [
            rule if isinstance(rule, str) else rule.blocking_rule
            for rule in self.blocking_rules_to_generate_predictions
        ]

    @property
    def trained(self) -> bool:
        """Return whether every level that is not for missing values has its probabilities."""
        return all(
            level.is_null_level
            or (level.m_probability is not None and level.u_probability is not None)
            for comparison in self.comparisons
            for level in comparison.comparison_levels
        )


def checked(settings: dict[str, Any], dialect: str = "duckdb") -> SplinkModel:
    """Return the model that these settings describe.

    Args:
        settings: as Splink's `save_model_to_json` writes them.
        dialect: `duckdb` or `spark`.

    Raises:
        SplinkMissing: Splink is not installed.
        SplinkSettingsUnusable: they are no such settings, or contain SQL that is no expression.
    """
    try:
        model = msgspec.convert(settings, SplinkModel)
    except msgspec.ValidationError as error:
        raise SplinkSettingsUnusable(f"The settings do not describe a model: {error}") from error
    names = [comparison.output_column_name.lower() for comparison in model.comparisons]
    if len(set(names)) < len(names):
        raise SplinkSettingsUnusable("Two comparisons have the same output_column_name")
    for comparison in model.comparisons:
        for level in comparison.comparison_levels:
            if level.sql_condition.strip().upper() != "ELSE":
                columns_of(level.sql_condition, dialect)
    for rule in model.rules:
        columns_of(rule, dialect)
    return model


@lru_cache(maxsize=1_000)
def columns_of(sql: str, dialect: str = "duckdb") -> tuple[str, ...]:
    """Return the columns of the records that an expression speaks of, in the order of the text.

    Raises:
        SplinkMissing: Splink, and with it the parser, is not installed.
        SplinkSettingsUnusable: it is no expression, or does more than compare.
    """
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError as error:
        raise SplinkMissing from error
    # What two parsers may read differently is not worth the risk: comments, several statements,
    # strings between dollar signs.
    if _AMBIGUOUS.search(sql):
        raise SplinkSettingsUnusable(f"“{_short(sql)}” has a comment or ends a statement")
    try:
        parsed = sqlglot.parse(sql, read=dialect)
    except sqlglot.errors.SqlglotError as error:
        raise SplinkSettingsUnusable(f"“{_short(sql)}” is no SQL expression") from error
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Condition | exp.Paren):
        raise SplinkSettingsUnusable(f"“{_short(sql)}” is not one SQL expression")
    forbidden = (exp.Query, exp.Table, exp.DDL, exp.DML, exp.Command, exp.Placeholder)
    names: dict[str, None] = {}
    for node in parsed[0].walk(bfs=False):
        if isinstance(node, (*forbidden, exp.Parameter, exp.SessionParameter)):
            raise SplinkSettingsUnusable(f"“{_short(sql)}” does more than compare two records")
        if isinstance(node, exp.Func) and not _is_known(node):
            raise SplinkSettingsUnusable(
                f"“{_short(sql)}” calls a function that compares no values"
            )
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
            names[_base(node)] = None
    return tuple(names)


def _is_known(node: Any) -> bool:
    """Return whether a function may be called: one of ours, or what is no call in SQL."""
    from sqlglot import exp

    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return str(node.name).lower() in _FUNCTIONS
    if isinstance(node, exp.Connector | exp.Case | exp.Cast | exp.TryCast | exp.Binary | exp.If):
        return True
    names = {name.lower() for name in type(node).sql_names()}
    return bool(names & _FUNCTIONS)


def _base(column: Any) -> str:
    """Return the name in the dataset: `l.name`, `r.name`, `name_l` and `name_r` are `name`."""
    name = str(column.name)
    if column.table:
        return name
    return re.sub(r"_[lr]$", "", name, flags=re.IGNORECASE)


def _short(sql: str) -> str:
    return sql if len(sql) <= 120 else sql[:117] + "..."
