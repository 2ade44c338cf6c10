"""Linkage as somebody wants it: their decisions, their columns, their keys, their bounds."""

from __future__ import annotations

import pyarrow as pa
import pytest

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading.errors import NoSuchColumn
from muniment.reconcile.matching.given import Given
from muniment.reconcile.matching.linkage.link import link
from muniment.reconcile.matching.match import Match, MatchStatus
from muniment.reconcile.rules import Assignment, ComparedColumns, Key, Rules, Stages

GIVEN = ["anna", "robert", "carla", "deborah", "edward", "fatima", "george", "helena", "imran"]
FAMILY = ["smith", "jones", "diaz", "nguyen", "okafor", "haddad", "lindqvist", "petrova", "mackay"]
TOWNS = ["leeds", "york", "bath", "derby", "exeter"]


def people(name: str, *, slip: bool = False) -> Dataset:
    """Return nine families of nine people; `slip` leaves a letter out of each name."""
    rows = [
        (f"c{7 * (9 * a + b) + 1000}", first, last[1:] if slip else last, TOWNS[(a + b) % 5])
        for a, first in enumerate(GIVEN)
        for b, last in enumerate(FAMILY)
    ]
    names = ["code", "first", "last", "town"]
    roles = [Role.reference, Role.name, Role.name, Role.address]
    return of(name, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), roles)


def of(name: str, values: dict[str, list[str]], roles: list[Role]) -> Dataset:
    columns = [
        Column(
            title,
            ColumnType.text,
            role,
            at,
            rows=len(cells),
            empty=cells.count(""),
            distinct=len(set(cells) - {""}),
            mean_length=sum(map(len, cells)) / len(cells),
        )
        for at, ((title, cells), role) in enumerate(zip(values.items(), roles, strict=True))
    ]
    return Dataset.from_table(name, pa.table(values), columns)


def only(dataset: Dataset, *names: str) -> Dataset:
    kept = [column for column in dataset.columns if column.name in names]
    return Dataset.from_table(dataset.name, dataset.table.select(["row", *names]), kept)


def matched(found: list[Match]) -> set[tuple[int, int]]:
    return {(m.left_row, m.right_row) for m in found if m.status is MatchStatus.MATCHED}


SAME = {(row, row) for row in range(1, 82)}
NAMES = ("first", "last", "town")


def test_an_accepted_pair_is_certain_and_settles_its_records() -> None:
    left, right = only(people("left"), *NAMES), only(people("right", slip=True), *NAMES)
    found = list(link(left, right, given=Given(accepted=[(1, 81)])).matches)
    assert found[0].left_row == 1
    assert found[0].right_row == 81
    assert found[0].confidence == 1.0
    assert found[0].stage == "decision"
    # The other records of the pair's two right partners are free for nobody else.
    assert matched(found) == SAME - {(1, 1), (81, 81)} | {(1, 81)}
    assert not {(m.left_row, m.right_row) for m in found} & {(1, 1), (81, 81)}


def test_a_rejected_pair_never_returns() -> None:
    left, right = only(people("left"), *NAMES), only(people("right", slip=True), *NAMES)
    found = list(link(left, right, given=Given(rejected=[(5, 5), (5, 999)])).matches)
    assert (5, 5) not in {(m.left_row, m.right_row) for m in found}
    assert matched(found) >= SAME - {(5, 5)}


def test_two_partners_may_be_accepted_where_others_have_one() -> None:
    left, right = only(people("left"), *NAMES), only(people("right", slip=True), *NAMES)
    accepted = [(1, 1), (1, 2)]
    found = list(link(left, right, given=Given(accepted=accepted)).matches)
    assert {(m.left_row, m.right_row) for m in found if m.stage == "decision"} == set(accepted)


def test_only_the_columns_named_are_compared_and_as_what_they_are_called() -> None:
    rules = Rules(compare=[ComparedColumns("last", "last", Role.reference)])
    outcome = link(people("left"), people("right"), rules=rules)
    assert outcome.compared == [("last", "last", "reference")]
    assert all([f.field_left for f in m.explanation] == ["last"] for m in outcome.matches)


@pytest.mark.parametrize(
    "rules",
    [
        Rules(compare=[ComparedColumns("last", "surname")]),
        Rules(keys=[Key(["code"], ["codes"])]),
    ],
)
def test_a_column_that_is_not_there_is_named(rules: Rules) -> None:
    with pytest.raises(NoSuchColumn, match=r"surname|codes"):
        link(people("left"), people("right"), rules=rules)


def test_a_key_seen_in_the_data_is_the_stage_exact() -> None:
    found = list(link(people("left"), people("right", slip=True)).matches)
    assert matched(found) == SAME
    assert {m.stage for m in found if m.status is MatchStatus.MATCHED} == {"exact"}


def test_without_the_probabilistic_stage_only_keys_match() -> None:
    code = only(people("right"), "code").table.column("code").to_pylist()
    cells = pa.array(code[:40] + [""] * 41)
    right = only(people("right"), *NAMES).table.append_column("code", cells)
    other = Dataset.from_table("right", right, people("right").columns)
    stages = Stages(probabilistic=False)
    for keys in ([], [Key(["code"], ["code"])], [Key(["code", "town"], ["code", "town"])]):
        found = list(link(people("left"), other, rules=Rules(stages=stages, keys=keys)).matches)
        assert matched(found) == {(row, row) for row in range(1, 41)}
        assert {m.stage for m in found} == {"exact"}


def test_a_key_that_is_told_joins_records_that_are_hardly_alike() -> None:
    left, right = people("left"), people("right")
    turned = right.table.set_column(1, "code", right.table["code"].combine_chunks()[::-1])
    other = Dataset.from_table("right", turned, right.columns)
    told = list(link(left, other, rules=Rules(keys=[Key(["code"], ["code"])])).matches)
    assert {(row, 82 - row) for row in range(1, 82)} <= matched(told)


def test_the_bounds_are_those_of_the_rules() -> None:
    left, right = only(people("left"), *NAMES), only(people("right"), *NAMES)
    found = list(link(left, right, rules=Rules(threshold=1.0, review_from=0.02)).matches)
    assert {m.status for m in found} == {MatchStatus.REVIEW}
    assert all(0.02 <= m.confidence < 1 for m in found)


def test_a_record_has_as_many_partners_as_the_rules_say() -> None:
    left, right = only(people("left"), *NAMES), only(people("right"), *NAMES)
    twice = Dataset.from_table(
        "right", pa.concat_tables([right.table.drop(["row"])] * 2), right.columns
    )
    many = list(link(left, twice, rules=Rules(assignment=Assignment.MANY)).matches)
    assert matched(many) == SAME | {(row, row + 81) for row in range(1, 82)}
    one = list(link(left, twice, rules=Rules(assignment=Assignment.ONE_TO_ONE)).matches)
    assert len({m.left_row for m in one}) == len({m.right_row for m in one}) == len(one)
