"""The stages for money, on small ledgers made for each case; the figures are in benchmarks."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.matching.ledger.amounts import Relation, relations
from muniment.reconcile.matching.ledger.reconcile import reconcile_ledgers
from muniment.reconcile.matching.ledger.references import CodeIndex, Likeness, parse
from muniment.reconcile.matching.ledger.sums import runs, subsets
from muniment.reconcile.matching.match import MatchStatus
from muniment.reconcile.matching.party_names import NameModel, initialism, word_likeness, words
from tests.reconcile.ledger_tables import PARTIES, Row, advice, ledger, ordinary


def settled(
    left: list[Row], right: list[Row], evidence: Dataset | None = None
) -> dict[tuple[str, str], tuple[str, Decimal | None]]:
    """Return the matched pairs by code, with their stages and amounts."""
    result = reconcile_ledgers(ledger("a", left), ledger("b", right), evidence)
    return {
        (left[m.left_row - 1][0], right[m.right_row - 1][0]): (m.stage, m.amount)
        for m in result.matches
        if m.status is MatchStatus.MATCHED
    }


def test_equal_amounts_of_like_names_match() -> None:
    left, right = ordinary()
    found = settled(left, right)
    assert set(found) == {(a[0], b[0]) for a, b in zip(left, right, strict=True)}


def test_one_payment_of_three_invoices_is_a_sum() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "1066.61"))
    right += [("a/1", 50, "Northern Star Logistics", "211.17")]
    right += [("a/2", 51, "Northern Star Logistics", "333.33")]
    right += [("a/3", 52, "Northern Star Logistics", "522.11")]
    found = settled(left, right)
    for code, amount in (("a/1", "211.17"), ("a/2", "333.33"), ("a/3", "522.11")):
        assert found["p900", code] == ("grouped", Decimal(amount))


def test_one_payment_of_two_invoices_and_half_of_a_third() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "135124.23"))
    right += [("a/1", 50, "Northern Star Logistics", "21117.31")]
    right += [("a/2", 51, "Northern Star Logistics", "33333.47")]
    right += [("a/3", 52, "Northern Star Logistics", "161346.90")]
    found = settled(left, right)
    assert found["p900", "a/3"] == ("grouped", Decimal("80673.45"))
    assert found["p900", "a/1"] == ("grouped", Decimal("21117.31"))


def test_two_payments_of_one_invoice_are_a_sum() -> None:
    left, right = ordinary()
    left += [
        ("p900", 60, "COBALT MINING INDU", "311.19"),
        ("p901", 61, "COBALT MINING INDU", "418.88"),
    ]
    right.append(("a/1", 55, "Cobalt Mining Industries", "730.07"))
    found = settled(left, right)
    assert found["p900", "a/1"] == ("grouped", Decimal("311.19"))
    assert found["p901", "a/1"] == ("grouped", Decimal("418.88"))


def test_a_second_payment_of_a_paid_invoice_stays_unmatched() -> None:
    left, right = ordinary()
    left.append(("p900", 40, left[4][2], left[4][3]))
    found = settled(left, right)
    assert ("p004", right[4][0]) in found
    assert not any(code == "p900" for code, _ in found)


def test_a_second_booking_of_an_entry_stays_unmatched() -> None:
    left, right = ordinary()
    right.append(("99/X", right[4][1] + 2, right[4][2], right[4][3]))
    found = settled(left, right)
    assert ("p004", right[4][0]) in found
    assert not any(code == "99/X" for _, code in found)


def test_entries_that_cancel_each_other_are_offsets() -> None:
    left, right = ordinary()
    right += [("v/1", 30, "Voided Quarry Works", "-911.23"), ("v/2", 31, "Quarry Works", "911.23")]
    result = reconcile_ledgers(ledger("a", left), ledger("b", right))
    assert [(o.side, {o.row, o.other_row}) for o in result.offsets] == [("right", {31, 32})]
    assert len(list(result.matches)) == 30


def test_a_ledger_of_the_opposite_sign_matches() -> None:
    left, right = ordinary()
    turned = [(code, day, party, f"-{amount}") for code, day, party, amount in right]
    assert len(settled(left, turned)) == 30


def test_evidence_settles_a_part_payment_and_is_not_believed_against_everything() -> None:
    left, right = ordinary()
    left[3] = (left[3][0], left[3][1], left[3][2], "100.00")
    lines = [(a[0], b[0], a[3]) for a, b in zip(left, right, strict=True)]
    lines[7] = (lines[7][0], right[8][0], lines[7][2])
    found = settled(left, right, advice(lines))
    assert found["p003", right[3][0]] == ("evidence", Decimal("100.00"))
    assert ("p007", right[7][0]) in found
    assert ("p007", right[8][0]) not in found


def test_lines_that_name_no_payment_are_given_to_the_one_they_add_up_to() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "400.00"))
    right += [("77/A", 50, "Northern Star Logistics", "250.00")]
    right += [("78/A", 51, "Northern Star Logistics", "900.00")]
    lines = [(a[0], b[0], a[3]) for a, b in zip(left, right, strict=False)][:30]
    lines += [("Z", "77/A", "250.00"), ("Z", "78/A", "150.00")]
    found = settled(left, right, advice(lines))
    assert found["p900", "77/A"] == ("evidence", Decimal("250.00"))
    assert found["p900", "78/A"] == ("evidence", Decimal("150.00"))


def test_a_payment_is_settled_though_one_of_its_lines_was_lost() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "1066.61"))
    right += [("77/A", 50, "Northern Star Logistics", "211.17")]
    right += [("78/A", 51, "Northern Star Logistics", "333.33")]
    right += [("79/A", 52, "Northern Star Logistics", "522.11")]
    lines = [(a[0], b[0], a[3]) for a, b in zip(left, right, strict=False)][:30]
    lines += [("p900", "77/A", "211.17"), ("p900", "78/A", "333.33")]
    found = settled(left, right, advice(lines))
    assert {right for left, right in found if left == "p900"} == {"77/A", "78/A", "79/A"}


def test_sides_are_exchanged_where_the_right_one_pays() -> None:
    left, right = ordinary()
    left.append(("p900", 60, "NORTHERN STAR LOGI", "400.00"))
    right += [("77/A", 50, "Northern Star Logistics", "250.00")]
    right += [("78/A", 51, "Northern Star Logistics", "900.00")]
    lines = [(a[0], b[0], a[3]) for a, b in zip(left, right, strict=False)][:30]
    lines += [("p900", "77/A", "250.00"), ("p900", "78/A", "150.00")]
    forth = settled(left, right, advice(lines))
    back = settled(right, left, advice(lines))
    assert forth["p900", "78/A"] == ("evidence", Decimal("150.00"))
    assert {(b, a): value for (a, b), value in back.items()} == forth


def test_explanations_name_the_fields_and_confidence_is_a_probability() -> None:
    left, right = ordinary()
    result = reconcile_ledgers(ledger("a", left), ledger("b", right))
    for match in result.matches:
        assert 0.0 < match.confidence < 1.0
        assert [e.field_left for e in match.explanation][:3] == ["total", "party", "day"]
    assert {m.left_row for m in result.matches} == set(range(1, 31))
    assert ("total", "total", "amount") in result.compared
    assert all(note.endswith(".") for note in result.notes)


def test_datasets_without_amounts_have_no_ledger_matches() -> None:
    plain = Dataset.from_table(
        "x", pa.table({"a": ["b"]}), [Column("a", ColumnType.text, Role.name, 0)]
    )
    assert list(reconcile_ledgers(plain, plain).matches) == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (100, 100, [Relation.equal]),
        (100, -100, []),
        (2163, 2136, [Relation.swapped, Relation.near]),
        (97, 100, [Relation.near]),
        (995, 1000, [Relation.slight]),
        (90, 100, [Relation.apart]),
        (130, 100, [Relation.over]),
        (40, 100, [Relation.part]),
    ],
)
def test_relations(one: int, other: int, expected: list[Relation]) -> None:
    assert relations(one, other) == expected


def test_subsets_find_every_sum_within_bounds() -> None:
    amounts = [3, 5, 9, 14, 20, 31, 47]
    answers, more = subsets(amounts, 3 + 9 + 14 + 20 + 31)
    assert (0, 2, 3, 4, 5) in answers
    assert not more
    assert all(sum(amounts[k] for k in answer) == 77 for answer in answers)
    assert runs([1, 2, 3, 4, 5, 6, 7, 8], 35) == [(1, 2, 3, 4, 5, 6, 7)]


def test_codes_are_found_however_written() -> None:
    codes = ["INV-00150", "INV-00151", "AB/2026/0007"]
    index = CodeIndex.build([[r for r in [parse(code)] if r] for code in codes])

    def find(text: str) -> dict[int, Likeness]:
        reference = parse(text)
        return index.find(reference, 5) if reference else {}

    assert find("inv 150") == {0: Likeness.same}
    assert find("Invoice #150") == {0: Likeness.number}
    assert find("ab-2026-7") == {2: Likeness.same}
    assert find("INV-00510") == {0: Likeness.slip}
    assert find("no digits") == {}


@pytest.mark.parametrize(
    ("short", "full"),
    [("mfg", "manufacturing"), ("logi", "logistics"), ("industrise", "industries")],
)
def test_words_cut_off_contracted_or_misspelt_are_alike(short: str, full: str) -> None:
    assert word_likeness(short, full) >= 0.6
    assert word_likeness(short, "hospitality") == 0.0


def test_names_reduced_to_initials_are_alike() -> None:
    assert initialism("nsl", words("Northern Star Logistics")) == 0.85
    assert initialism("ibi", words("Ironbridge Industrial")) == 0.7
    model = NameModel.learn([words(p) for p in PARTIES], [words(p) for p in PARTIES])
    assert model.similarity(words("FALCONSEC"), words("Falcon Security")) > 0.5
    assert model.similarity(words("Trident Shipping"), words("Falcon Security")) < 0.2
