"""Books as they are kept: columns for debit and credit, signs, currencies, and a month of trouble.

The month is drawn from a seed with what goes wrong in practice: batches without a name, payments in
several parts, bank charges, exchanged digits, late days, doubled bookings, cut-off names.
"""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.reconcile import measure
from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.matching.keyed import Keyed, keyed_matches
from muniment.reconcile.matching.ledger.reconcile import reconcile_ledgers
from muniment.reconcile.matching.match import MatchStatus
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import Key, Rules
from tests.reconcile.ledger_tables import (
    PARTIES,
    Row,
    dataset,
    days,
    ledger,
    money,
    ordinary,
    texts,
)

Pair = tuple[int, int]
Entry = tuple[int, str, Decimal]
"""Day, text, amount."""


def matched(outcome: Outcome) -> set[Pair]:
    """Return the matched pairs of rows."""
    return {(m.left_row, m.right_row) for m in outcome.matches if m.status is MatchStatus.MATCHED}


def signed() -> tuple[list[Row], list[Row], set[Pair]]:
    """Return the ordinary ledgers with every third amount going out, and one in of the same size.

    Row 31 of the left pays in what row 3 pays out, on the same day to the same party: only the
    sign tells them apart.
    """
    left, right = ordinary()
    for rows in (left, right):
        rows[2::3] = [(*row[:3], f"-{row[3]}") for row in rows[2::3]]
    left.append((*left[2][:3], left[2][3].lstrip("-")))
    right.append((*right[2][:3], right[2][3].lstrip("-")))
    return left, right, {(k, k) for k in range(1, 32)}


def in_two_columns(rows: list[Row]) -> Dataset:
    """Return a ledger with one column for money out and one for money in."""
    return dataset(
        "book",
        texts("code", Role.identifier, [row[0] for row in rows]),
        days("day", [row[1] for row in rows]),
        texts("party", Role.name, [row[2] for row in rows]),
        money("debit", [r[3].lstrip("-") if r[3].startswith("-") else None for r in rows]),
        money("credit", [None if r[3].startswith("-") else r[3] for r in rows]),
    )


def with_a_way(rows: list[Row], ways: tuple[str, str]) -> Dataset:
    """Return a ledger of unsigned amounts beside a column that says which way they go."""
    return dataset(
        "book",
        texts("code", Role.identifier, [row[0] for row in rows]),
        days("day", [row[1] for row in rows]),
        texts("party", Role.name, [row[2] for row in rows]),
        money("total", [row[3].lstrip("-") for row in rows]),
        texts("way", Role.category, [ways[row[3].startswith("-")] for row in rows]),
    )


def turned(rows: list[Row]) -> list[Row]:
    """Return the rows with the signs of the other party's book."""
    return [(*r[:3], r[3].lstrip("-") if r[3].startswith("-") else f"-{r[3]}") for r in rows]


@pytest.mark.parametrize("opposite", [False, True])
@pytest.mark.parametrize("book", ["two columns", "a way", "a way of its own", "one column"])
def test_signs_are_read_however_they_are_written(book: str, opposite: bool) -> None:
    left, right, true = signed()
    rows = turned(left) if opposite else left
    kept = {
        "two columns": in_two_columns,
        "a way": lambda r: with_a_way(r, ("CR", "DR")),
        "a way of its own": lambda r: with_a_way(r, ("Eingang", "Ausgang")),
        "one column": lambda r: ledger("book", r),
    }[book](rows)
    outcome = reconcile_ledgers(kept, ledger("right", right))
    assert matched(outcome) == true
    other_way = reconcile_ledgers(ledger("left", right), kept)
    assert {(b, a) for a, b in matched(other_way)} == true


def test_a_book_without_signs_is_compared_by_size() -> None:
    left, right, _ = signed()
    plain = [(*row[:3], row[3].lstrip("-")) for row in right[:30]]
    outcome = reconcile_ledgers(ledger("a", left[:30]), ledger("b", plain))
    assert matched(outcome) == {(k, k) for k in range(1, 31)}
    assert outcome.compared[0] == ("total without sign", "total", "amount")


def test_amounts_of_other_currencies_are_not_the_same() -> None:
    left, right = ordinary()
    sides = [
        dataset(
            "book",
            texts("code", Role.identifier, [row[0] for row in rows]),
            days("day", [row[1] for row in rows]),
            texts("party", Role.name, [row[2] for row in rows]),
            money("total", [row[3] for row in rows]),
            texts("unit", Role.currency, units),
        )
        for rows, units in ((left, ["EUR"] * 30), (right, ["eur"] * 20 + ["USD"] * 10))
    ]
    assert matched(reconcile_ledgers(*sides)) == {(k, k) for k in range(1, 21)}


def test_keys_join_records_without_amounts() -> None:
    left = dataset(
        "a", texts("vat", Role.reference, ["DE 12", "DE13", None, "DE14", "DE14", "DE15"])
    )
    right = dataset("b", texts("id", Role.reference, ["de15", "DE-12", None, "DE14", "DE13"]))
    rules = Rules(keys=[Key(["vat"], ["id"])])
    found = keyed_matches(Keyed(left, right, rejected={(6, 1)}), rules)
    assert [(m.left_row, m.right_row, m.stage) for m in found] == [(1, 2, "exact"), (2, 5, "exact")]
    taken = Keyed(left, right, taken=({1}, set()))
    assert [(m.left_row, m.right_row) for m in keyed_matches(taken, rules)] == [(2, 5), (6, 1)]


class Month:
    """Bank lines and the entries they settle, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bank: list[Entry] = []
        self.book: list[Entry] = []
        self.true: list[Pair] = []
        for draw in range(120):
            self._event(draw)

    def _amount(self) -> Decimal:
        return Decimal(int(10 ** self.random.uniform(3, 6.5))) / 100

    def _line(self, day: int, text: str, amount: Decimal, *entries: int) -> None:
        self.bank.append((day, text, amount))
        self.true += [(len(self.bank) - 1, entry) for entry in entries]

    def _entry(self, day: int, party: str, amount: Decimal) -> int:
        note = self.random.choice(["Invoice", "Rent", "Freight", "Licence", "Advice"])
        self.book.append((day, f"{party} - {note} {4000 + len(self.book)}", amount))
        return len(self.book) - 1

    def _named(self, party: str) -> str:
        prefix = self.random.choice(["ACH ", "SEPA ", "WIRE ", ""])
        return prefix + self.random.choice([party, party.upper(), party.upper()[:14]])

    def _event(self, draw: int) -> None:
        day, party = self.random.randrange(40), self.random.choice(PARTIES)
        late, amount = day + self.random.randrange(6), self._amount() * self.random.choice([-1, 1])
        kind = draw % 20
        if kind == 0:
            parts = [abs(self._amount()) for _ in range(self.random.randint(2, 6))]
            entries = [self._entry(day, self.random.choice(PARTIES), part) for part in parts]
            self._line(late, "DEPOSIT", sum(parts, Decimal(0)), *entries)
        elif kind == 1:
            parts = [self._amount() for _ in range(3)]
            entries = [self._entry(day - k, party, part) for k, part in enumerate(parts)]
            self._line(late, self._named(party), sum(parts, Decimal(0)), *entries)
        elif kind == 2:
            entry = self._entry(day, party, 2 * amount + 7)
            self._line(late, self._named(party), amount, entry)
            self._line(late + 3, self._named(party), amount + 7, entry)
        elif kind == 3:
            entry = self._entry(day, party, abs(amount) + 1000)
            self._line(late, self._named(party), abs(amount) + 1000 - Decimal("12.50"), entry)
        elif kind == 4:
            entry = self._entry(day, party, Decimal("4812.55"))
            self._line(late, self._named(party), Decimal("4182.55"), entry)
        elif kind == 5:
            self._entry(day + 2, party, amount)
            self._entry(day + 5, party, -amount)
        elif kind == 6:
            self._line(late, "SERVICE CHARGE", -abs(self._amount()))
            self._entry(day, party, self._amount())
        else:
            self._line(late, self._named(party), amount, self._entry(day, party, amount))

    def sides(self) -> tuple[Dataset, Dataset]:
        """Return both books."""
        one, other = (
            dataset(
                "book",
                texts("code", Role.identifier, [f"{mark}{k}" for k in range(len(entries))]),
                days("day", [day for day, _, _ in entries]),
                texts("text", Role.free_text, [text for _, text, _ in entries]),
                money("total", [str(amount) for _, _, amount in entries]),
            )
            for mark, entries in (("B", self.bank), ("G", self.book))
        )
        return one, other


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_month_of_trouble_is_settled(seed: int) -> None:
    month = Month(seed)
    found = matched(reconcile_ledgers(*month.sides()))
    true = {(i + 1, j + 1) for i, j in month.true}
    right = len(found & true)
    assert right / len(found) >= 0.95
    assert right / len(true) >= 0.9


def test_confidence_is_about_the_share_that_is_right() -> None:
    judged: list[tuple[float, bool]] = []
    for seed in range(4, 8):
        month = Month(seed)
        true = {(i + 1, j + 1) for i, j in month.true}
        matches = reconcile_ledgers(*month.sides()).matches
        judged += [(m.confidence, (m.left_row, m.right_row) in true) for m in matches]
    for low, high in ((0.05, 0.5), (0.5, 0.95), (0.95, 1.0)):
        inside = [(sure, right) for sure, right in judged if low <= sure < high]
        expected = sum(sure for sure, _ in inside)
        observed = sum(right for _, right in inside)
        # Within four standard deviations of so many draws, and a tenth for the model.
        assert abs(expected - observed) <= 4 * len(inside) ** 0.5 / 2 + 0.1 * len(inside)


@pytest.mark.parametrize(
    ("name", "evidence", "least"),
    [
        ("bank-rec-medium-300", False, 0.98),
        ("cash-application-n30", True, 0.95),
        ("cash-application-n100", True, 0.95),
        ("cash-application-n300", True, 0.95),
        ("cash-application-n30", False, 0.95),
        ("cash-application-n100", False, 0.95),
        ("cash-application-n300", False, 0.95),
    ],
)
def test_the_f1_of_public_books(shared_data: Path, name: str, evidence: bool, least: float) -> None:
    folder = shared_data / "ledger" / name
    told = folder / "remittance.csv" if evidence else None
    assert measure(name, folder, told, 1).f1 >= least
