"""docs/reconcile.md tells of everything that can be decided, and what it shows works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from muniment.reconcile.columns import Role
from muniment.reconcile.exports.rows import MatchRow
from muniment.reconcile.rules import Assignment, Engine, Rules, Strategy

PAGE = (Path(__file__).parents[2] / "docs" / "reconcile.md").read_text(encoding="utf-8")


def fields(kind: type[Any], before: str = "") -> Iterator[str]:
    """Yield the names of the fields of a struct, those of single structs below it dotted."""
    for name, hint in get_type_hints(kind).items():
        below = [
            each
            for each in (hint, *get_args(hint))
            if isinstance(each, type)
            and issubclass(each, msgspec.Struct)
            # What there may be several of is told with the list that holds it.
            and get_origin(hint) is not list
        ]
        if below and before == "":
            yield from fields(below[0], f"{name}.")
        else:
            yield f"{before}{name}"


@pytest.mark.parametrize(
    "name",
    [
        *fields(Rules),
        *Role,
        *Assignment,
        *Engine,
        *Strategy,
        *MatchRow._fields,
    ],
)
def test_every_choice_is_told(name: str) -> None:
    assert re.search(rf"`(?:\w+\.)?{re.escape(str(name))}`", PAGE), name


def test_rules_of_the_page_are_rules() -> None:
    shown = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    for rules in shown:
        assert msgspec.json.decode(rules, type=Rules) != Rules()
