"""Which value a golden record is given, by each strategy."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any
from uuid import UUID

import pytest

from muniment.reconcile.golden.columns import GoldenColumn, golden_columns
from muniment.reconcile.golden.recency import moment
from muniment.reconcile.golden.survivorship import Held, Survivors
from muniment.reconcile.rules import Strategy, Survivorship

COLUMNS = [
    GoldenColumn(name, {"left": [name], "right": [name]}, formats)
    for name, formats in [
        ("name", {}),
        ("town", {}),
        ("changed", {"left": "%d.%m.%Y", "right": "%m/%d/%Y"}),
    ]
]


def held(number: int, side: str = "left", dated: dt.date | None = None, **values: str) -> Held:
    return Held(UUID(int=number), side, number, None, values, dated)


MEMBERS = [
    held(1, name="ACME", changed="02.01.2024"),
    held(2, name="Acme Inc.", town="Ulm", dated=dt.date(2024, 5, 1)),
    held(3, "right", name="acme", changed="01/03/2024"),
    held(4, "right", name="Acme Incorporated", dated=dt.date(2024, 4, 1)),
]


def name_by(strategy: Strategy, **rules: Any) -> str:
    survivors = Survivors(COLUMNS, Survivorship(strategy, **rules))
    found = {
        survivors.of(random.Random(seed).sample(MEMBERS, len(MEMBERS)))["name"]
        for seed in range(10)
    }
    (one,) = found  # whatever order they come in
    return one.value


@pytest.mark.parametrize(
    ("strategy", "rules", "name"),
    [
        (Strategy.MOST_COMPLETE, {}, "ACME"),
        (Strategy.MOST_RECENT, {}, "Acme Inc."),
        (Strategy.MOST_RECENT, {"recency": "changed"}, "acme"),
        (Strategy.PREFERRED_SOURCE, {"preferred": "right"}, "acme"),
        (Strategy.PREFERRED_SOURCE, {}, "ACME"),
        (Strategy.LONGEST, {}, "Acme Incorporated"),
        (Strategy.MOST_FREQUENT, {}, "ACME"),
        (Strategy.LONGEST, {"columns": {"name": Strategy.MOST_RECENT}}, "Acme Inc."),
    ],
)
def test_each_strategy(strategy: Strategy, rules: dict[str, Any], name: str) -> None:
    assert name_by(strategy, **rules) == name


def test_a_value_is_taken_from_another_record_where_the_first_has_none() -> None:
    found = Survivors(COLUMNS, Survivorship(Strategy.PREFERRED_SOURCE, preferred="right")).of(
        MEMBERS
    )
    assert (found["town"].value, found["town"].record_id) == ("Ulm", UUID(int=2))


def test_the_most_complete_record_gives_all_it_has() -> None:
    members = [held(1, name="A", town=" "), held(2, name="B", town="Ulm", changed="2024-01-01")]
    found = Survivors(COLUMNS, Survivorship()).of(members)
    assert {one.record_id for one in found.values()} == {UUID(int=2)}


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("03.02.2024", "%d.%m.%Y", "2024-02-03T00:00:00+00:00"),
        ("03/02/2024", "%m/%d/%Y", "2024-03-02T00:00:00+00:00"),
        ("2024-02-03T10:00:00+02:00", "", "2024-02-03T08:00:00+00:00"),
        ("2024-02-03 10:00", "", "2024-02-03T10:00:00+00:00"),
        ("3 March 2024", "%d %B %Y", "2024-03-03T00:00:00+00:00"),
        ("20240203", "%Y%m%d", "2024-02-03T00:00:00+00:00"),
        ("soon", "%d.%m.%Y", None),
    ],
)
def test_moments(text: str, written: str, expected: str | None) -> None:
    wanted = None if expected is None else dt.datetime.fromisoformat(expected)
    assert moment(text, written) == wanted


def test_columns_of_two_datasets() -> None:
    def described(*names: str) -> list[dict[str, str]]:
        return [{"name": name, "type": "text"} for name in names]

    columns = {
        "left": described("id", "name", "total", "total (right)"),
        "right": described("id", "firm", "alias", "total"),
    }
    compared = [
        {"left": "name", "right": "firm"},
        {"left": "name", "right": "alias"},
        {"left": "gone", "right": "total"},
    ]
    found = golden_columns(columns, compared)
    assert [column.name for column in found] == [
        "id", "name", "total", "total (right)", "id (right)", "total (right 2)",
    ]  # fmt: skip
    assert found[1].value("right", {"alias": "b", "firm": " "}) == "b"
    assert golden_columns(None, None) == []
