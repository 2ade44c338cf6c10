"""Objectives as settings: defaults, changes to them, and what is told of mistakes."""

from __future__ import annotations

import json

import pytest

from muniment.objective_settings import Objective, default_objectives
from muniment.settings import InvalidSetting, load_settings

Environment = pytest.MonkeyPatch


def test_defaults_hold_unless_told_otherwise() -> None:
    assert load_settings().objectives == default_objectives()


def test_one_value_is_changed_and_the_rest_stays(monkeypatch: Environment) -> None:
    monkeypatch.setenv("MUNIMENT_OBJECTIVES__SEARCH__WITHIN_MS", "150")
    found = load_settings().objectives
    assert found["search"] == default_objectives()["search"].model_copy(update={"within_ms": 150.0})
    assert found.keys() == default_objectives().keys()


def test_one_is_taken_away(monkeypatch: Environment) -> None:
    monkeypatch.setenv("MUNIMENT_OBJECTIVES__READING", "null")
    assert default_objectives().keys() - load_settings().objectives.keys() == {"reading"}


def test_one_is_added_one_by_one_or_as_json(monkeypatch: Environment) -> None:
    monkeypatch.setenv("MUNIMENT_OBJECTIVES__MINE__ROUTES", '["GET /v1/a*", "!GET /v1/ab"]')
    monkeypatch.setenv("MUNIMENT_OBJECTIVES__MINE__SHARE", "0.9")
    theirs = {"jobs": ["documents.*"], "share": 0.5, "within_ms": 5, "failures": False, "days": 90}
    monkeypatch.setenv("MUNIMENT_OBJECTIVES", json.dumps({"theirs": theirs}))
    found = load_settings().objectives
    assert found["mine"] == Objective(routes=("GET /v1/a*", "!GET /v1/ab"), share=0.9)
    assert found["theirs"].covers_job("documents.convert")
    assert len(found) == len(default_objectives()) + 2


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("__SEARCH__SHARE", "2", "MUNIMENT_OBJECTIVES__SEARCH__SHARE: .*less than 1"),
        ("__SEARCH__DAYS", "1", "MUNIMENT_OBJECTIVES__SEARCH__DAYS: .*greater than or equal to 3"),
        ("__SEARCH__WITHIN", "2", "MUNIMENT_OBJECTIVES__SEARCH__WITHIN: Extra inputs"),
        ("__SEARCH__ROUTES", '["search"]', "'search' is no pattern; write it like GET /v1/"),
        ("__SEARCH__ROUTES", '["!GET /v1/a"]', "only exclude"),
        ("__SEARCH__ROUTES", "[1", "MUNIMENT_OBJECTIVES, or what begins with it, .* no JSON"),
        ("__SEARCH__JOBS", '["a"]', "either `routes` or `jobs`"),
        ("", '{"x": {"jobs": ["A B"], "share": 0.5}}', "'A B' is no pattern; .* documents"),
        ("", '{"x": {"jobs": ["a"], "share": 0.5, "failures": false}}', "needs `within_ms`"),
        ("", '{"X y": {"jobs": ["a"], "share": 0.5}}', "'X y' is no name of an objective"),
        ("", "7", "valid dictionary"),
        ("", '{"search": 7}', "MUNIMENT_OBJECTIVES__SEARCH: "),
    ],
)
def test_a_mistake_is_named(monkeypatch: Environment, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(f"MUNIMENT_OBJECTIVES{name}", value)
    with pytest.raises(InvalidSetting, match=told):
        load_settings()


@pytest.mark.parametrize(
    ("patterns", "covered", "not_covered"),
    [
        (["POST /v1/search"], ["POST /v1/search"], ["GET /v1/search", "POST /v1/search/x"]),
        (["* /v1/search"], ["POST /v1/search", "GET /v1/search"], ["POST /v1"]),
        (["GET /v1/*"], ["GET /v1/a", "GET /v1/a/b"], ["POST /v1/a", "GET /v2"]),
        (["* /v1/*", "!GET /v1/a*"], ["POST /v1/a"], ["GET /v1/a", "GET /v1/ab"]),
        (["!* /v1/a", "* /v1/*"], ["GET /v1/b"], ["GET /v1/a"]),
        (["* (unmatched)"], ["GET (unmatched)"], ["GET /v1/a"]),
    ],
)
def test_patterns(patterns: list[str], covered: list[str], not_covered: list[str]) -> None:
    objective = Objective(routes=tuple(patterns), share=0.9)
    assert [each for each in covered if not objective.covers_route(*each.split(" ", 1))] == []
    assert [each for each in not_covered if objective.covers_route(*each.split(" ", 1))] == []
