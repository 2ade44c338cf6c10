"""Models of Splink: run, trained, explained, and kept from doing anything but compare."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.load import load
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.matching.splink_model.backends import Backend, opened
from muniment.reconcile.matching.splink_model.checked import checked, columns_of
from muniment.reconcile.matching.splink_model.errors import (
    SplinkFailed,
    SplinkMissing,
    SplinkSettingsUnusable,
)
from muniment.reconcile.matching.stages import find_matches
from muniment.reconcile.rules import Engine, Rules


def level(sql: str, m: float | None = None, u: float | None = None, **more: Any) -> dict[str, Any]:
    chances = {"m_probability": m, "u_probability": u}
    return {"sql_condition": sql, **more, **{k: v for k, v in chances.items() if v is not None}}


def comparison(
    name: str, near: str, m: tuple[float, float], u: tuple[float, float]
) -> dict[str, Any]:
    return {
        "output_column_name": name,
        "comparison_levels": [
            level(f'"{name}_l" IS NULL OR "{name}_r" IS NULL', is_null_level=True),
            level(f'"{name}_l" = "{name}_r"', m[0], u[0], tf_adjustment_column=name),
            level(near, m[1], u[1]),
            level("ELSE", 1 - sum(m), 1 - sum(u)),
        ],
    }


TRAINED: dict[str, Any] = {
    "link_type": "link_only",
    "sql_dialect": "duckdb",
    "probability_two_random_records_match": 0.0002,
    "blocking_rules_to_generate_predictions": [
        {"blocking_rule": 'l."surname" = r."surname"', "sql_dialect": "duckdb"},
        "l.postcode = r.postcode and substr(l.given_name, 1, 1) = substr(r.given_name, 1, 1)",
        "l.date_of_birth = r.date_of_birth",
    ],
    "comparisons": [
        comparison(
            "given_name",
            "jaro_winkler_similarity(given_name_l, given_name_r) >= 0.85",
            (0.7, 0.2),
            (0.004, 0.004),
        ),
        comparison(
            "surname",
            "jaro_winkler_similarity(surname_l, surname_r) >= 0.85",
            (0.7, 0.2),
            (0.003, 0.004),
        ),
        comparison(
            "date_of_birth",
            "damerau_levenshtein(date_of_birth_l, date_of_birth_r) <= 2",
            (0.8, 0.15),
            (0.0001, 0.01),
        ),
        comparison(
            "postcode", "levenshtein(postcode_l, postcode_r) <= 1", (0.8, 0.1), (0.001, 0.01)
        ),
    ],
}


def using(settings: dict[str, Any] | None) -> Rules:
    return Rules(engine=Engine.SPLINK, splink=settings)


def untrained() -> dict[str, Any]:
    settings = deepcopy(TRAINED)
    settings.pop("probability_two_random_records_match")
    for one in settings["comparisons"]:
        for each in one["comparison_levels"]:
            each.pop("m_probability", None)
            each.pop("u_probability", None)
    return settings


@pytest.fixture(scope="module")
def people(shared_data: Path) -> tuple[Dataset, Dataset]:
    folder = shared_data / "linkage" / "febrl4"
    return load(folder / "left.csv"), load(folder / "right.csv")


@pytest.fixture(scope="module")
def gold(shared_data: Path, people: tuple[Dataset, Dataset]) -> set[tuple[int, int]]:
    rows = [
        {str(name): row for row, name in enumerate(side.values("id").to_pylist(), start=1)}
        for side in people
    ]
    with (shared_data / "linkage" / "febrl4" / "gold.csv").open(encoding="utf-8") as lines:
        return {
            (rows[0][pair["left_id"]], rows[1][pair["right_id"]]) for pair in csv.DictReader(lines)
        }


def f1(outcome: Outcome, gold: set[tuple[int, int]]) -> float:
    found = {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}
    return 2 * len(found & gold) / (len(found) + len(gold))


def test_a_trained_model_judges_and_explains(
    people: tuple[Dataset, Dataset], gold: set[tuple[int, int]]
) -> None:
    outcome = find_matches(*people, rules=using(TRAINED))
    assert f1(outcome, gold) >= 0.94
    assert outcome.compared[0] == ("given_name", "given_name", "name")
    for match in list(outcome.matches)[:50]:
        assert [e.field_left for e in match.explanation] == [
            "given_name",
            "surname",
            "date_of_birth",
            "postcode",
        ]
        for evidence in match.explanation:
            if evidence.left == evidence.right != "":
                assert evidence.weight > 4
    # Rare names say more than common ones: the adjustment for the frequency of terms is kept.
    weights = {
        evidence.left: evidence.weight
        for match in outcome.matches
        for evidence in match.explanation
        if evidence.field_left == "surname" and evidence.left == evidence.right != ""
    }
    assert max(weights.values()) - min(weights.values()) > 3


def test_an_untrained_model_is_trained_first(
    people: tuple[Dataset, Dataset], gold: set[tuple[int, int]]
) -> None:
    assert f1(find_matches(*people, rules=using(untrained())), gold) >= 0.9


def test_without_settings_a_model_is_made_of_the_roles(shared_data: Path) -> None:
    folder = shared_data / "linkage" / "fodors-zagats"
    left, right = load(folder / "left.csv"), load(folder / "right.csv")
    outcome = find_matches(left, right, rules=using(None))
    with (folder / "gold.csv").open(encoding="utf-8") as lines:
        pairs = list(csv.DictReader(lines))
    rows = [
        {str(name): row for row, name in enumerate(side.values("id").to_pylist(), start=1)}
        for side in (left, right)
    ]
    gold = {(rows[0][pair["left_id"]], rows[1][pair["right_id"]]) for pair in pairs}
    # Not what a trained model does, but far from nothing.
    assert f1(outcome, gold) >= 0.8


def test_decisions_hold(people: tuple[Dataset, Dataset]) -> None:
    first = next(m for m in find_matches(*people, rules=using(TRAINED)).matches)
    pair = (first.left_row, first.right_row)
    outcome = find_matches(*people, rules=using(TRAINED), given=Given(rejected=[pair]))
    assert pair not in {(m.left_row, m.right_row) for m in outcome.matches}


def test_one_dataset_is_searched_for_duplicates() -> None:
    names = ["anna", "bob", "carla", "dieter", "emma", "fritz"]
    rows = {"given_name": names * 2, "surname": [f"{n}sen" for n in names] * 2}
    columns = [Column(name, ColumnType.text, Role.name, rows=12, distinct=6) for name in rows]
    settings = deepcopy(TRAINED)
    settings["comparisons"] = settings["comparisons"][:2]
    settings["blocking_rules_to_generate_predictions"] = ["l.given_name = r.given_name"]
    settings["probability_two_random_records_match"] = 0.1
    dataset = Dataset.from_table("people", pa.table(rows), columns)
    outcome = find_matches(dataset, rules=using(settings))
    assert outcome.clusters == {row: (row - 1) % 6 + 1 for row in range(1, 13)}


def test_columns_of_other_names_are_found_by_the_rules(people: tuple[Dataset, Dataset]) -> None:
    settings = deepcopy(TRAINED)
    settings["comparisons"][0]["comparison_levels"][2]["sql_condition"] = "no_such_l = no_such_r"
    with pytest.raises(SplinkSettingsUnusable, match="no_such"):
        find_matches(*people, rules=using(settings))


HOSTILE = [
    "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0",
    "surname_l IN (SELECT content FROM read_text('/etc/passwd'))",
    "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))",
    "1 = 1; COPY (SELECT 1) TO 'stolen.csv'",
    "1 = 1) -- ",
    "/* a */ 1 = 1",
    "getenv('HOME') = 'x'",
    "current_setting('memory_limit') = 'x'",
    "surname_l = (TABLE duckdb_settings())",
    "repeat(surname_l, 1000000000) = surname_r",
    "len(range(100000000000)) > 1",
    "read_text('/etc/passwd') = 'x'",
    "reflect('java.lang.System', 'getProperty', 'user.dir') = 'x'",
    "java_method('java.lang.Runtime', 'getRuntime') = 'x'",
    "SELECT 1",
    "INSTALL httpfs",
    "surname_l = ?",
    "surname_l = $$x$$",
    "this is no SQL (",
]


@pytest.mark.parametrize("sql", HOSTILE)
@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_sql_that_does_more_than_compare_is_refused(sql: str, dialect: str) -> None:
    with pytest.raises(SplinkSettingsUnusable):
        columns_of(sql, dialect)


def test_hostile_sql_is_refused_wherever_it_stands(people: tuple[Dataset, Dataset]) -> None:
    as_level, as_rule, as_name = (deepcopy(TRAINED) for _ in range(3))
    as_level["comparisons"][0]["comparison_levels"][2]["sql_condition"] = HOSTILE[0]
    as_rule["blocking_rules_to_generate_predictions"].append(HOSTILE[1])
    as_name["comparisons"][0]["output_column_name"] = 'x"; DROP TABLE y; --'
    for settings in (as_level, as_rule, as_name):
        with pytest.raises(SplinkSettingsUnusable):
            find_matches(*people, rules=using(settings))


def test_the_database_is_locked_whatever_the_sql(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nhidden\n")
    with opened() as api:
        for sql in (
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM '{secret}'",
            f"SELECT content FROM read_text('{secret}')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/other.duckdb'",
            "SELECT * FROM glob('*')",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
        ):
            with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|cannot change"):
                api.duckdb_con.execute(sql)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize(
    "change",
    [
        {"comparisons": []},
        {"comparisons": "all"},
        {"comparisons": [{"output_column_name": "x"}]},
        {"probability_two_random_records_match": 2},
        {"blocking_rules_to_generate_predictions": [7]},
    ],
)
def test_settings_that_are_none_are_a_clear_error(change: dict[str, Any]) -> None:
    with pytest.raises(SplinkSettingsUnusable):
        checked({**TRAINED, **change})


def test_settings_of_another_dialect_are_a_clear_error(people: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(SplinkSettingsUnusable, match="spark"):
        find_matches(*people, rules=using({**TRAINED, "sql_dialect": "spark"}))


def test_what_splink_cannot_run_is_a_clear_error(people: tuple[Dataset, Dataset]) -> None:
    settings = deepcopy(TRAINED)
    wrong = "radians(surname_l) > 1"
    settings["comparisons"][1]["comparison_levels"][2]["sql_condition"] = wrong
    with pytest.raises(SplinkFailed, match="radians"):
        find_matches(*people, rules=using(settings))


def test_without_splink_the_error_says_what_to_install(
    people: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in {"splink", "sqlglot"}]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("splink", "sqlglot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SplinkMissing, match=r"muniment\[splink\]"):
        find_matches(*people, rules=using(TRAINED))


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark (400 MB) and Java are not installed: pip install 'muniment[spark]'",
)
def test_spark_finds_what_duckdb_does(people: tuple[Dataset, Dataset]) -> None:
    settings = deepcopy(TRAINED)
    settings["sql_dialect"] = "spark"
    for one in settings["comparisons"]:
        for each in one["comparison_levels"]:
            sql = each["sql_condition"].replace('"', "`")
            sql = sql.replace("jaro_winkler_similarity", "jaro_winkler")
            each["sql_condition"] = sql.replace("damerau_levenshtein", "levenshtein")
    rules = ["l.date_of_birth = r.date_of_birth"]
    settings["blocking_rules_to_generate_predictions"] = rules
    by_spark = find_matches(*people, rules=using(settings), backend=Backend.SPARK)
    settings = {**deepcopy(TRAINED), "blocking_rules_to_generate_predictions": rules}
    by_duckdb = find_matches(*people, rules=using(settings))
    found = [
        {(m.left_row, m.right_row) for m in outcome.matches if m.status == "matched"}
        for outcome in (by_spark, by_duckdb)
    ]
    assert len(found[0] & found[1]) / len(found[0] | found[1]) >= 0.99
