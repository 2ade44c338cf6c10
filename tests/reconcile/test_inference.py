"""Types and roles: from values, under headers that say nothing or something in any language."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from muniment.reconcile.columns import (
    Column,
    ColumnType,
    Dataset,
    Override,
    Role,
    TextCleaning,
)
from muniment.reconcile.loading import LoadOptions, errors, load
from muniment.reconcile.preview import change, preview


def table(
    folder: Path, columns: dict[str, list[str]], options: LoadOptions | None = None
) -> Dataset:
    path = folder / "data.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return load(path, options=options or LoadOptions(delimiter=";"))


def one(folder: Path, values: list[str], header: str = "x") -> tuple[Dataset, list[object]]:
    keys = [f"K-{place:04d}" for place in range(len(values))]
    data = table(folder, {"key": keys, header: values})
    return data, data.values(header).to_pylist()


NAMES = ["Ann Ames", "Bob Barr", "Cleo Cox", "Dan Dow", "Eva Elm", "Fay Fox", "Gus Gill", "Hal Hay"]


@pytest.mark.parametrize(
    ("values", "role", "kind"),
    [
        (["a@b.org", "c.d@e.com", "f@g.de"], Role.email, ColumnType.text),
        (["+49 30 1234567", "(030) 765 4321", "030/123-4567"], Role.phone, ColumnType.text),
        (["2024-01-02", "2024-02-03", "2024-03-04"], Role.date, ColumnType.date),
        (["20240102", "19991231", "20010911"], Role.date, ColumnType.date),
        (["EUR", "USD", "EUR"], Role.currency, ColumnType.text),
        (["€ 12.50", "€ 3.00", "€ 1,004.25"], Role.amount, ColumnType.decimal),
        (["12.50", "3.00", "-1004.25"], Role.amount, ColumnType.decimal),
        (["0.1234", "0.75", "1.5"], Role.number, ColumnType.number),
        (["1999", "2004", "2004"], Role.number, ColumnType.integer),
        (["INV-1001", "INV-1001", "INV-1003"], Role.reference, ColumnType.text),
        (["00123", "00456", "00123"], Role.reference, ColumnType.text),
        (["12 High Street", "4 Elm Road", "77 Main St"], Role.address, ColumnType.text),
        (["Hauptstraße 5", "Ringweg 12a", "Marktplatz 1"], Role.address, ColumnType.text),
        (["Ann Ames", "Bob Barr", "Cleo Cox"], Role.name, ColumnType.text),
        (["yes", "no", "yes"], Role.category, ColumnType.boolean),
        (
            ["we met and spoke about it all", "she will call again next week",
                "no answer at all so far today",
            ],
            Role.free_text,
            ColumnType.text,
        ),
    ],
)  # fmt: skip
def test_values_alone_decide(
    tmp_path: Path, values: list[str], role: Role, kind: ColumnType
) -> None:
    data, _ = one(tmp_path, values * 4)
    assert (data["x"].role, data["x"].type) == (role, kind), data["x"].reason
    assert data["key"].role is Role.identifier


@pytest.mark.parametrize(
    ("header", "values", "role"),
    [
        ("Betrag", ["12", "300", "7"], Role.amount),
        ("montant", ["12", "300", "7"], Role.amount),
        ("Anzahl", ["12", "300", "7"], Role.number),
        ("PLZ", ["50667", "10115", "80331"], Role.address),
        ("Kundennummer", ["50667", "10115", "80331"], Role.reference),
        ("Verwendungszweck", ["Miete", "Strom", "Gas"], Role.free_text),
        ("ciudad", ["Madrid", "Lugo", "Vigo"], Role.address),
        ("Nachname", ["Ames", "Barr", "Cox"], Role.name),
        ("dueDate", ["12.50", "3.75", "4.25"], Role.amount),
        ("amount", ["Ames", "Barr", "Cox"], Role.name),
    ],
)
def test_headers_are_a_weak_hint(
    tmp_path: Path, header: str, values: list[str], role: Role
) -> None:
    data, _ = one(tmp_path, values * 2, header)
    assert data[header].role is role, data[header].reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["03/04/2024", "25/04/2024"], [(2024, 4, 3), (2024, 4, 25)]),
        (["03/04/2024", "04/25/2024"], [(2024, 3, 4), (2024, 4, 25)]),
        (["1.2.24", "3.4.99"], [(2024, 2, 1), (1999, 4, 3)]),
        (["01/02/2024", "01/03/2024"], [(2024, 2, 1), (2024, 3, 1)]),
        (["02/01/2024", "03/01/2024"], [(2024, 2, 1), (2024, 3, 1)]),
        (["3 March 2024", "Mar 4, 2024"], [(2024, 3, 3), (2024, 3, 4)]),
        (["3. März 2024", "4. Mai 2024"], [(2024, 3, 3), (2024, 5, 4)]),
        (["3 de marzo de 2024", "4 de enero de 2023"], [(2024, 3, 3), (2023, 1, 4)]),
        (["2024-03-04T10:11:12Z", "2024-03-05 00:00"], [(2024, 3, 4), (2024, 3, 5)]),
        (["2024年3月4日", "2024年12月5日"], [(2024, 3, 4), (2024, 12, 5)]),
        (["31122024", "15012023"], [(2024, 12, 31), (2023, 1, 15)]),
        (["03-Apr-24", "25-Dec-23"], [(2024, 4, 3), (2023, 12, 25)]),
    ],
)
def test_dates_are_read_in_the_order_of_their_column(
    tmp_path: Path, values: list[str], expected: list[tuple[int, int, int]]
) -> None:
    data, found = one(tmp_path, values * 3)
    assert data["x"].type is ColumnType.date, data["x"].reason
    assert found[: len(values)] == [dt.date(*day) for day in expected]


def test_day_and_month_that_cannot_be_told_apart_say_so(tmp_path: Path) -> None:
    data, found = one(tmp_path, ["03/04/2024", "05/06/2024", "07/08/2024"])
    assert data["x"].certainty == 0.5
    assert "please check" in data["x"].reason
    assert found[0] == dt.date(2024, 4, 3)
    changed = change(data, {"x": {"day_first": False}})
    assert changed.values("x").to_pylist()[0] == dt.date(2024, 3, 4)


def test_a_date_out_of_order_is_odd_and_kept(tmp_path: Path) -> None:
    data, found = one(tmp_path, ["25/04/2024"] * 19 + ["04/31/2024"])
    assert found[-1] is None
    assert data["x"].odd == 1
    assert (data["x"].odd_values[0].row, data["x"].odd_values[0].value) == (20, "04/31/2024")
    assert data.original("x", 20) == "04/31/2024"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1.234,50", "2,75"], ["1234.50", "2.75"]),
        (["1,234.50", "2.75"], ["1234.50", "2.75"]),
        (["1 234,50", "2,75"], ["1234.50", "2.75"]),
        (["1\u202f234,50 €", "2,75 €"], ["1234.50", "2.75"]),
        (["1'234.50", "2.75"], ["1234.50", "2.75"]),
        (["12,34,567.50", "2.75"], ["1234567.50", "2.75"]),
        (["(12.50)", "2.75"], ["-12.50", "2.75"]),
        (["12.50-", "2.75"], ["-12.50", "2.75"]),
        (["\u221212,50", "2,75"], ["-12.50", "2.75"]),
        (["$-12.50", "-$2.75"], ["-12.50", "-2.75"]),
        (["EUR 12,50", "2,75 EUR"], ["12.50", "2.75"]),
        (["Rs. 500.00", "Rs.2.75"], ["500.00", "2.75"]),
        (["1.234", "1.250,75"], ["1234.00", "1250.75"]),
        (["1.234", "12.50"], ["1.234", "12.500"]),
        ([".50", "2.75"], ["0.50", "2.75"]),
        (["1,012.50 CR", "2.75 DR"], ["1012.50", "-2.75"]),
        (["12.50 Cr.", "2.75Dr.", "-1.00 DR"], ["12.50", "-2.75", "-1.00"]),
    ],
)
def test_amounts_are_read_with_the_signs_of_their_column(
    tmp_path: Path, values: list[str], expected: list[str]
) -> None:
    data, found = one(tmp_path, values * 3, "amount")
    assert data["amount"].type is ColumnType.decimal, data["amount"].reason
    assert found[: len(values)] == [Decimal(value) for value in expected]
    assert data["amount"].odd == 0


def test_lone_signs_are_decided_by_the_column(tmp_path: Path) -> None:
    _, found = one(tmp_path, ["950", "1.200", "12.000", "80"], "Betrag")
    assert found == [950, 1200, 12000, 80]
    _, found = one(tmp_path, ["950", "1,200", "12,000", "80"], "total")
    assert found == [950, 1200, 12000, 80]


def test_words_beside_digits_are_no_currencies(tmp_path: Path) -> None:
    data, found = one(tmp_path, ["No 12", "No 13", "No 13", "Nr 15"])
    assert data["x"].role is Role.reference
    assert found[0] == "no 12"


@pytest.mark.parametrize("form", ["R{}", "CAD-{:04d}", "Kr {}"])
def test_letters_before_whole_numbers_make_codes(tmp_path: Path, form: str) -> None:
    data, _ = one(tmp_path, [form.format(n // 2) for n in range(20)])
    assert data["x"].role is Role.reference
    data, _ = one(tmp_path, [form.format(n) for n in range(20)], "amount")
    assert data["amount"].type is ColumnType.decimal


def test_an_amount_knows_its_currency(tmp_path: Path) -> None:
    data = table(
        tmp_path,
        {
            "key": [f"K{n}" for n in range(6)],
            "paid": ["€ 1.50", "€ 2.00", "€ 3.25"] * 2,
            "open": ["1.50", "2.00", "3.25"] * 2,
            "ccy": ["USD", "EUR", "USD"] * 2,
        },
    )
    assert (data["paid"].currency, data["paid"].unit) == ("EUR", None)
    assert (data["open"].currency, data["open"].unit) == (None, "ccy")


def test_there_is_one_identifier(tmp_path: Path) -> None:
    keys = [f"A{n:03d}" for n in range(20)]
    data = table(tmp_path, {"tax": [f"T-{n * 7919 % 1000:04d}" for n in range(20)], "id": keys})
    assert (data["id"].role, data["tax"].role) == (Role.identifier, Role.reference)
    assert data.identifier() is data["id"]


def test_cleaning_is_told_and_the_original_kept(tmp_path: Path) -> None:
    values = [
        "  Jörg  MÜLLER ",
        "Łukasz Ørsted",
        "Zoë &amp; Søn",
        "ann",
        "か゛が",
        "N/A",
        "",
        "Null",
    ]
    data, found = one(tmp_path, values, "name")
    assert found[:4] == ["jorg muller", "lukasz orsted", "zoe & son", "ann"]
    assert "が" in str(found[4])
    assert found[5:] == [None, None, "null"]
    counts = {done.action: done.count for done in data["name"].cleanings}
    assert counts["accents"] == 3
    assert counts["empty_words"] == 1
    assert ("ann", "ann") not in [pair for done in data["name"].cleanings for pair in done.examples]
    assert [data.original("name", row) for row in (1, 6)] == [values[0], "N/A"]
    assert data["name"].empty == 2


def test_identifiers_keep_their_case(tmp_path: Path) -> None:
    data = table(tmp_path, {"id": ["aB1", "Ab1", "AB1"], "name": NAMES[:3]})
    assert data["id"].role is Role.identifier
    assert data.values("id").to_pylist() == ["aB1", "Ab1", "AB1"]


def test_the_preview_shows_columns_and_first_rows(tmp_path: Path) -> None:
    data, _ = one(tmp_path, ["12.50", "3.00", "x", *["1.25"] * 20], "amount")
    seen = preview(data, rows=3)
    assert seen.originals[0] == {"key": "K-0000", "amount": "12.50"}
    assert seen.cleaned[0] == {"row": 1, "key": "K-0000", "amount": "12.50"}
    assert seen.columns[1].role == "amount"
    assert seen.columns[1].odd_values[0].row == 3
    assert len(seen.cleaned) == 3


def test_a_person_may_decide_otherwise_and_back(tmp_path: Path) -> None:
    data, before = one(tmp_path, ["1.234", "2.500", "3.750"], "x")
    as_text = change(data, {"x": {"role": "reference"}})
    assert as_text.values("x").to_pylist() == ["1.234", "2.500", "3.750"]
    assert as_text["x"].overridden
    commas = change(as_text, {"x": {"role": "amount", "decimal_sign": ","}})
    assert commas.values("x").to_pylist() == [1234, 2500, 3750]
    back = change(commas, {"x": {"role": "number", "type": "number", "decimal_sign": "."}})
    assert back.values("x").to_pylist() == [float(str(value)) for value in before]


def test_an_override_of_no_column_is_refused(tmp_path: Path) -> None:
    data, _ = one(tmp_path, NAMES)
    with pytest.raises(errors.NoSuchColumn, match="“y”"):
        change(data, {"y": {"role": "name"}})
    with pytest.raises(errors.DatasetUnreadable, match="roles are"):
        change(data, {"x": {"role": "colour"}})


def test_overrides_may_be_given_when_loading(tmp_path: Path) -> None:
    options = LoadOptions(delimiter=";", overrides={"x": Override(role=Role.free_text)})
    data = table(tmp_path, {"key": ["a1", "a2"], "x": ["1.50", "2.50"]}, options)
    assert data.values("x").to_pylist() == ["1.50", "2.50"]


def test_single_cleanings_can_be_left_out_and_taken_back(tmp_path: Path) -> None:
    values = ["  Jörg  MÜLLER ", "ANN &amp; SON", "N/A", "Zoë"]
    data, before = one(tmp_path, values, "name")
    assert before == ["jorg muller", "ann & son", None, "zoe"]
    with_case = change(data, {"name": {"without": ["case", "accents"]}})
    assert with_case.values("name").to_pylist() == ["Jörg MÜLLER", "ANN & SON", None, "Zoë"]
    assert with_case["name"].role is data["name"].role
    assert {done.action for done in with_case["name"].cleanings} == {
        "spaces", "entities", "empty_words",
    }  # fmt: skip
    as_it_is = change(with_case, {"name": Override(without=tuple(TextCleaning))})
    assert as_it_is.values("name").to_pylist() == values
    assert as_it_is["name"].cleanings == ()
    back = change(as_it_is, {"name": None})
    assert back.values("name").to_pylist() == before
    assert not back["name"].overridden
    assert back["name"] == data["name"]


def test_decisions_on_other_columns_stay(tmp_path: Path) -> None:
    data, _ = one(tmp_path, ["1.234", "2.500", "3.750"], "x")
    decided = change(data, {"x": {"role": "amount", "decimal_sign": ","}})
    also = change(decided, {"key": {"without": ["spaces"]}})
    assert also.values("x").to_pylist() == [1234, 2500, 3750]
    assert also["x"].override == Override(role=Role.amount, decimal_sign=",")
    with pytest.raises(errors.NoSuchColumn):
        change(also, {"z": None})


def test_what_a_person_decides_goes_through_json() -> None:
    text = b'{"role":"reference","type":"text","without":["case"]}'
    decided = msgspec.json.decode(text, type=Override)
    assert decided == Override(Role.reference, ColumnType.text, without=(TextCleaning.case,))
    assert msgspec.json.encode(decided) == text
    for wrong in (b'{"roles":"name"}', b'{"decimal_sign":";"}', b'{"without":["decimal_comma"]}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=Override)


def test_columns_go_through_json(tmp_path: Path) -> None:
    data, _ = one(tmp_path, ["€ 12.50", "x", *["€ 1.25"] * 20], "amount")
    for column in data.columns:
        assert msgspec.json.decode(msgspec.json.encode(column), type=Column) == column


AMOUNTS = [35200, 1200, 450, 800, 12500, 990, 75, 3000, 1460, 240, 5120, 610]


@pytest.mark.parametrize(
    ("values", "role"),
    [
        ([f"{amount}.0" for amount in AMOUNTS], Role.amount),
        ([str(amount) for amount in AMOUNTS], Role.amount),
        ([str(amount // 10 * (-7) ** (amount % 3)) for amount in AMOUNTS], Role.amount),
        ([str(3 * amount + 1) for amount in AMOUNTS], Role.number),
        ([str(1990 + k) for k in range(12)], Role.number),
        ([f"{k}.0" for k in range(10, 34, 2)], Role.number),
        ([str(k % 4 * 100) for k in range(24)], Role.number),
    ],
)
def test_amounts_without_cents_are_found_by_their_values(
    tmp_path: Path, values: list[str], role: Role
) -> None:
    columns = {
        "c0": [f"K-{place:04d}" for place in range(len(values))],
        "c1": [f"2024-03-{place % 28 + 1:02d}" for place in range(len(values))],
        "c2": values,
    }
    data = table(tmp_path, columns)
    assert data["c2"].role is role, data["c2"].reason
    # Without a day it is no movement of money.
    assert table(tmp_path, {**columns, "c1": ["Ann Ames"] * len(values)})["c2"].role is Role.number


def test_a_number_beside_an_amount_stays_one(tmp_path: Path) -> None:
    columns = {
        "day": [f"2024-03-{place + 1:02d}" for place in range(len(AMOUNTS))],
        "paid": [f"{amount}.50" for amount in AMOUNTS],
        "c2": [str(amount) for amount in AMOUNTS],
    }
    assert table(tmp_path, columns)["c2"].role is Role.number
