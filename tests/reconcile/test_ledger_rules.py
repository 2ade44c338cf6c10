"""What people want of a reconciliation of ledgers: stages, columns, keys, bounds, decisions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.ledger.reconcile import reconcile_ledgers
from muniment.reconcile.matching.match import MatchStatus
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import (
    Assignment,
    ComparedColumns,
    Grouping,
    Key,
    Rules,
    Stages,
    Tolerance,
)
from tests.reconcile.ledger_tables import (
    Row,
    advice,
    dataset,
    days,
    ledger,
    money,
    ordinary,
    texts,
)

Pair = tuple[int, int]


def matched(outcome: Outcome) -> dict[Pair, str]:
    """Return the stage of each matched pair of rows."""
    return {
        (m.left_row, m.right_row): m.stage
        for m in outcome.matches
        if m.status is MatchStatus.MATCHED
    }


def varied() -> tuple[list[Row], list[Row]]:
    """Return the ordinary ledgers with a pair or a sum for every stage, in rows 31 and on."""
    left, right = ordinary()
    left[4] = (left[4][0], right[4][1], left[4][2], left[4][3])
    left += [
        ("p900", 60, "NORTHERN STAR LOGI", "1066.61"),
        ("p901", 63, "SAPPHIRE ELECTRONI", "436.50"),
    ]
    right += [
        ("5001/X", 50, "Northern Star Logistics", "211.17"),
        ("5002/X", 51, "Northern Star Logistics", "333.33"),
        ("5003/X", 52, "Northern Star Logistics", "522.11"),
        ("5004/X", 55, "Sapphire Electronics", "873.00"),
    ]
    return left, right


def test_every_stage_leaves_its_name() -> None:
    left, right = varied()
    found = matched(reconcile_ledgers(ledger("a", left), ledger("b", right)))
    assert found[5, 5] == "exact"
    assert found[6, 6] == "tolerance"
    assert found[31, 31] == found[31, 33] == "grouped"
    assert found[32, 34] == "probabilistic"


@pytest.mark.parametrize("off", ["exact", "tolerance", "grouped", "probabilistic"])
def test_a_stage_that_is_off_finds_nothing(off: str) -> None:
    left, right = varied()
    stages = Stages(**{off: False})
    found = matched(
        reconcile_ledgers(ledger("a", left), ledger("b", right), rules=Rules(stages=stages))
    )
    assert off not in found.values()
    assert len(set(found.values())) == 3
    assert (5, 5) in found


def test_without_sums_none_of_their_records_is_matched_otherwise() -> None:
    left, right = varied()
    for rules in (
        Rules(stages=Stages(grouped=False)),
        Rules(assignment=Assignment.ONE_TO_ONE),
        Rules(grouping=Grouping(most=2)),
        Rules(grouping=Grouping(days=1)),
    ):
        found = matched(reconcile_ledgers(ledger("a", left), ledger("b", right), rules=rules))
        assert not {(31, 31), (31, 32), (31, 33)} & found.keys()
        assert (30, 30) in found


def test_evidence_that_is_off_is_not_read() -> None:
    left, right = ordinary()
    lines = [(a[0], b[0], a[3]) for a, b in zip(left, right, strict=True)]
    off = Rules(stages=Stages(evidence=False))
    arguments = (ledger("a", left), ledger("b", right))
    assert set(matched(reconcile_ledgers(*arguments, advice(lines))).values()) == {"evidence"}
    without = reconcile_ledgers(*arguments, advice(lines), rules=off)
    assert matched(without) == matched(reconcile_ledgers(*arguments))


def test_only_what_is_near_enough_is_within_a_given_tolerance() -> None:
    left, right = ordinary()
    right[3] = (right[3][0], right[3][1], right[3][2], str(Decimal(left[3][3]) + 2))
    left[7] = (left[7][0], left[7][1] + 30, left[7][2], left[7][3])
    only = Stages(exact=False, grouped=False, probabilistic=False)
    wide = Rules(stages=only, tolerance=Tolerance(amount=Decimal(2), days=40))
    narrow = Rules(stages=only, tolerance=Tolerance(amount=Decimal(1), days=10))
    arguments = (ledger("a", left), ledger("b", right))
    assert matched(reconcile_ledgers(*arguments, rules=wide)).keys() >= {(4, 4), (8, 8)}
    assert not matched(reconcile_ledgers(*arguments, rules=narrow)).keys() & {(4, 4), (8, 8)}


def test_a_threshold_moves_pairs_to_review() -> None:
    left, right = ordinary()
    arguments = (ledger("a", left), ledger("b", right))
    usual = list(reconcile_ledgers(*arguments).matches)
    assert all(m.status is MatchStatus.MATCHED for m in usual if m.confidence >= 0.5)
    outcome = reconcile_ledgers(*arguments, rules=Rules(threshold=1.0))
    assert outcome.threshold == 1.0
    assert len(list(outcome.matches)) >= 30
    assert all(m.status is MatchStatus.REVIEW for m in outcome.matches)


def two_amounts(name: str, rows: list[Row], other: str) -> Dataset:
    """Return a ledger with a second amount column that says nothing."""
    return dataset(
        name,
        texts("code", Role.identifier, [row[0] for row in rows]),
        texts("party", Role.name, [row[2] for row in rows]),
        texts("note", Role.name, [rows[-1 - k][2] for k in range(len(rows))]),
        money("net", [other] * len(rows)),
        money("gross", [row[3] for row in rows]),
        days("booked", [row[1] for row in rows]),
        days("due", [row[1] + 400 * (k % 2) for k, row in enumerate(rows)]),
    )


def test_the_columns_named_are_compared_and_no_others() -> None:
    left, right = ordinary()
    arguments = (two_amounts("a", left, "1.00"), two_amounts("b", right, "2.00"))
    compare = [
        ComparedColumns("gross", "gross"),
        ComparedColumns("party", "party"),
        ComparedColumns("booked", "booked"),
    ]
    outcome = reconcile_ledgers(*arguments, rules=Rules(compare=compare))
    assert outcome.compared == [
        ("gross", "gross", "amount"),
        ("booked", "booked", "date"),
        ("party", "party", "name"),
    ]
    assert len(matched(outcome)) == 30
    fields = {e.field_left for m in outcome.matches for e in m.explanation}
    assert fields == {"gross", "party", "booked"}
    wrong = reconcile_ledgers(
        *arguments, rules=Rules(compare=[ComparedColumns("net", "net"), compare[2]])
    )
    assert matched(wrong) == {}


def keyed(name: str, keys: list[str | None], rows: list[Row]) -> Dataset:
    """Return a ledger with a column of keys."""
    return dataset(
        name,
        texts("voucher", Role.reference, keys),
        days("day", [row[1] for row in rows]),
        texts("party", Role.name, [row[2] for row in rows]),
        money("total", [row[3] for row in rows]),
    )


def test_named_keys_join_before_anything_is_weighed() -> None:
    left, right = ordinary()
    turned = right[::-1]
    keys = [f"V-{k:03d}" for k in range(30)]
    back = [f"v {k:03d}" for k in reversed(range(30))]
    rules = Rules(
        keys=[Key(["voucher"], ["voucher"])], tolerance=Tolerance(amount=Decimal(5), days=30)
    )
    turned[0] = (*turned[0][:3], str(Decimal(turned[0][3]) - 3))
    turned[1] = (*turned[1][:3], str(Decimal(turned[1][3]) - 9))
    stages = Stages(grouped=False, evidence=False, probabilistic=False)
    outcome = reconcile_ledgers(
        keyed("a", keys, left),
        keyed("b", back, turned),
        rules=Rules(keys=rules.keys, tolerance=rules.tolerance, stages=stages),
    )
    found = matched(outcome)
    assert {pair for pair, stage in found.items() if stage == "exact"} == {
        (k, 31 - k) for k in range(1, 29)
    }
    assert found[30, 1] == "tolerance"
    assert (29, 2) not in found
    told = next(m for m in outcome.matches if m.left_row == 30).explanation
    assert (told[0].field_left, told[0].left, told[0].right) == ("voucher", "V-029", "v 029")


def test_a_key_that_several_share_joins_only_what_amounts_settle() -> None:
    left, right = ordinary()
    left = [(a[0], k, a[2], "50.00" if k < 4 else a[3]) for k, a in enumerate(left)]
    right = [(b[0], 9 - k, b[2], "50.00" if k < 4 else b[3]) for k, b in enumerate(right)]
    keys: list[str | None] = ["batch"] * 4 + ["other", "other"] + [None] * 24
    right[5] = (*right[5][:3], "99999.00")
    stages = Stages(tolerance=False, grouped=False, evidence=False, probabilistic=False)
    outcome = reconcile_ledgers(
        keyed("a", keys, left),
        keyed("b", keys, right),
        rules=Rules(keys=[Key(["voucher"], ["voucher"])], stages=stages),
    )
    sure = {pair for pair, stage in matched(outcome).items() if stage == "exact"}
    assert {(1, 4), (2, 3), (3, 2), (4, 1), (5, 5)} <= sure
    assert (6, 6) not in sure


def test_decisions_hold_and_use_up_amounts() -> None:
    left, right = varied()
    right[2] = (*right[2][:3], left[1][3])
    arguments = (ledger("a", left), ledger("b", right))
    given = Given(accepted=[(31, 31), (31, 32), (2, 3)], rejected=[(31, 33), (8, 8)])
    outcome = reconcile_ledgers(*arguments, given=given)
    found = {(m.left_row, m.right_row): m for m in outcome.matches}
    for pair in given.accepted:
        assert found[pair].stage == "decision"
        assert found[pair].confidence == 1.0
        assert found[pair].status is MatchStatus.MATCHED
        assert found[pair].explanation
    assert found[31, 31].amount == Decimal("211.17")
    assert not set(given.rejected) & found.keys()
    # Their records are settled as far as the amounts go, so nothing else takes them.
    assert not {(2, 2), (3, 3)} & found.keys()
    assert (30, 30) in found


def test_what_an_accepted_pair_leaves_open_is_matched() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "1000.00"))
    right.append(("5001/X", 50, "Trident Shipping", "377.77"))
    right.append(("5002/X", 51, "Northern Star Logistics", "622.23"))
    outcome = reconcile_ledgers(
        ledger("a", left), ledger("b", right), given=Given(accepted=[(31, 31)])
    )
    found = {(m.left_row, m.right_row): m for m in outcome.matches}
    assert found[31, 31].amount == Decimal("377.77")
    assert found[31, 32].amount == Decimal("622.23")
    assert found[31, 32].status is MatchStatus.MATCHED


def as_earlier(outcome: Outcome, new_left: list[int], new_right: list[int]) -> Earlier:
    """Return what a later run is told of an earlier one."""
    pairs = [(m.left_row, m.right_row, m.confidence, m.stage) for m in outcome.matches]
    return Earlier(new_left, new_right, pairs, outcome.model)


def test_a_run_of_the_new_rows_finds_what_a_full_run_does() -> None:
    left, right = varied()
    first = reconcile_ledgers(ledger("a", left[:25]), ledger("b", right[:25]))
    earlier = as_earlier(first, list(range(26, 33)), list(range(26, 35)))
    arguments = (ledger("a", left), ledger("b", right))
    later = reconcile_ledgers(*arguments, earlier=earlier)
    assert matched(later) == matched(reconcile_ledgers(*arguments))
    assert later.model is not None
    # What an earlier run settled is explained as fully as what this one finds.
    for match in later.matches:
        if match.status is MatchStatus.MATCHED:
            assert match.explanation[0].field_left == "total"
            assert match.explanation[0].weight != 0


def test_a_new_decision_opens_what_it_touches() -> None:
    left, right = varied()
    left[0], right[0] = (*left[0][:3], left[1][3]), (*right[0][:3], left[1][3])
    arguments = (ledger("a", left), ledger("b", right))
    earlier = as_earlier(reconcile_ledgers(*arguments), [], [])
    given = Given(accepted=[(2, 1)], rejected=[(31, 33)])
    found = matched(reconcile_ledgers(*arguments, given=given, earlier=earlier))
    assert found[2, 1] == "decision"
    assert not {(1, 1), (2, 2), (31, 31), (31, 32), (31, 33)} & found.keys()
    assert found[30, 30] == "tolerance"


def test_a_model_that_cannot_be_read_is_learnt_anew() -> None:
    left, right = varied()
    arguments = (ledger("a", left), ledger("b", right))
    earlier = Earlier(model=b"{}")
    again = reconcile_ledgers(*arguments, earlier=earlier)
    assert matched(again) == matched(reconcile_ledgers(*arguments))
