"""Files of records as they come: what is loaded, and what is refused with row and column."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muniment.reconcile.columns import ColumnType, Dataset, Role
from muniment.reconcile.loading import LoadOptions, errors, load, load_parts
from tests.reconcile.workbooks import write_xlsx


def write(folder: Path, text: str | bytes, name: str = "data.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def column(data: Dataset, name: str) -> list[object]:
    return data.values(name).to_pylist()


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, sign: str) -> None:
    rows = [["name", "remark"], ["Ann", '"a; b, c"'], ["Bob", '"x"']]
    data = load(write(tmp_path, "\n".join(sign.join(row) for row in rows)))
    assert [found.name for found in data.columns] == ["name", "remark"]
    assert column(data, "remark") == ["a; b, c", "x"]


def test_decimal_commas_do_not_hide_the_semicolon(tmp_path: Path) -> None:
    data = load(write(tmp_path, "Betrag;Saldo\n1,50;2,25\n-3,00;4,75\n1.234,00;5,00\n"))
    assert column(data, "Betrag") == [Decimal("1.50"), Decimal("-3.00"), Decimal("1234.00")]


def test_cells_hold_line_ends_and_quotes(tmp_path: Path) -> None:
    data = load(write(tmp_path, 'id,text\r\nA1,"two\r\nlines, ""quoted"""\r\nA2,5" pipe\r\n'))
    assert data.original("text", 1) == 'two\r\nlines, "quoted"'
    assert data.original("text", 2) == '5" pipe'
    assert column(data, "text")[0] == 'two lines, "quoted"'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    text = "name,ort\n" + "Jörg Müller,Köln\nZoë Åström,Århus\n" * 5
    data = load(write(tmp_path, text, encoding=encoding))
    assert [found.name for found in data.columns] == ["name", "ort"]
    assert data.original("name", 1) == "Jörg Müller"


def test_an_accent_far_down_decides_the_encoding(tmp_path: Path) -> None:
    text = "name,city\n" + "Ann,Bonn\n" * 40_000 + "Zoë,Köln\n"
    data = load(write(tmp_path, text, encoding="cp1252"))
    assert data.original("name", 40_001) == "Zoë"


def test_mixed_encodings_name_the_row(tmp_path: Path) -> None:
    lines = ["name,city", *["Jörg,Köln"] * 9]
    body = "\n".join(lines).encode() + "\nAnn,Düren\n".encode("cp1252") + "Jörg,Köln\n".encode()
    with pytest.raises(errors.MixedEncodings) as caught:
        load(write(tmp_path, body), folder=tmp_path / "held")
    assert (caught.value.row, caught.value.line, caught.value.column) == (10, 11, "column 2")
    assert not list((tmp_path / "held").iterdir())


@pytest.mark.parametrize(
    ("row", "name"), [("5,Eve", "city"), ("5,Eve,Rome,extra", "column 4")], ids=["short", "long"]
)
def test_a_ragged_row_is_named(tmp_path: Path, row: str, name: str) -> None:
    text = 'id,name,city\n1,"A\nB",Bonn\n2,B,Rome\n3,C,Rome\n\n4,D,Oslo\n' + row + "\n6,F,Oslo\n"
    with pytest.raises(errors.RaggedRow) as caught:
        load(write(tmp_path, text), folder=tmp_path / "held")
    assert (caught.value.row, caught.value.line, caught.value.column) == (5, 8, name)
    assert caught.value.errors[0]["row"] == 5
    assert not list((tmp_path / "held").iterdir())


def test_a_ragged_row_far_down_is_named(tmp_path: Path) -> None:
    text = "id,name\n" + "".join(f"{n},N{n}\n" for n in range(1, 20_001)) + "20001\n"
    with pytest.raises(errors.RaggedRow) as caught:
        load(write(tmp_path, text))
    assert (caught.value.row, caught.value.line, caught.value.column) == (20_001, 20_002, "name")


def test_empty_cells_beyond_the_header_are_no_cells(tmp_path: Path) -> None:
    data = load(write(tmp_path, "id,name,\n1,A,\n2,B,,,\n"))
    assert [found.name for found in data.columns] == ["id", "name"]
    assert data.rows == 2


def test_a_wrong_delimiter_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "id;name\n1;A\n2;B\n")
    with pytest.raises(errors.WrongDelimiter, match="';'"):
        load(path, options=LoadOptions(delimiter=","))


@pytest.mark.parametrize(
    ("text", "row"), [('id,name\n1,A\n2,"B\n3,C\n', 2), ('id,name\n1,"A" x\n2,B\n', 1)]
)
def test_a_quotation_mark_that_is_not_closed_is_named(tmp_path: Path, text: str, row: int) -> None:
    with pytest.raises(errors.UnclosedQuote) as caught:
        load(write(tmp_path, text))
    assert caught.value.row == row
    assert caught.value.column == "column 2"


def test_duplicate_headers_are_named(tmp_path: Path) -> None:
    with pytest.raises(errors.DuplicateHeader) as caught:
        load(write(tmp_path, "id,date,amount, date\n1,2024-01-02,3.00,2024-01-03\n"))
    assert (caught.value.row, caught.value.column) == (0, "date")


@pytest.mark.parametrize("text", ["", "\n\n  \n", ",,\n,,\n"])
def test_an_empty_file_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.EmptyDataset):
        load(write(tmp_path, text))


def test_a_header_alone_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.HeaderOnly):
        load(write(tmp_path, "id,name\n\n"))


def test_binary_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.NotATable):
        load(write(tmp_path, os.urandom(5000)))


def test_a_file_above_the_ceiling_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "id\n" + "1\n" * 1000)
    with pytest.raises(errors.DatasetTooLarge, match="2,003 bytes"):
        load(path, options=LoadOptions(max_bytes=2000))


def test_remarks_above_the_table_are_left_out(tmp_path: Path) -> None:
    text = "Account,12345\n\nDate,Text,Amount,Balance\n" + "2024-01-02,Coffee,-3.50,96.50\n" * 5
    data = load(write(tmp_path, text))
    assert [found.name for found in data.columns] == ["Date", "Text", "Amount", "Balance"]
    assert "2 rows before the header left out" in data.notes
    assert data.rows == 5


def test_a_file_without_header_gets_numbers(tmp_path: Path) -> None:
    data = load(
        write(tmp_path, "2024-01-02,12.50,Ann\n2024-01-03,13.50,Bob\n2024-02-03,1.50,Eve\n")
    )
    assert [found.name for found in data.columns] == ["column 1", "column 2", "column 3"]
    assert data.rows == 3


def test_a_line_that_tells_excel_the_delimiter_is_left_out(tmp_path: Path) -> None:
    data = load(write(tmp_path, "sep=;\nid;name\n1;Ann\n2;Bob\n"))
    assert [found.name for found in data.columns] == ["id", "name"]


def test_headers_may_look_like_codes(tmp_path: Path) -> None:
    data = load(write(tmp_path, "C1,C2,C3\n1,2.5,7\n2,3.5,8\n"))
    assert [found.name for found in data.columns] == ["C1", "C2", "C3"]


@pytest.mark.parametrize("text", ["<?xml version='1.0'?><a/>", "<!DOCTYPE html>\n<html>a,b</html>"])
def test_markup_is_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.NotATable):
        load(write(tmp_path, text))


def test_a_given_encoding_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name\n1,Ann\n2,Zoë\n", encoding="cp1252")
    with pytest.raises(errors.MixedEncodings) as caught:
        load(path, options=LoadOptions(encoding="utf-8"))
    assert (caught.value.line, caught.value.column) == (3, "column 2")
    with pytest.raises(errors.DatasetUnreadable, match="no encoding"):
        load(path, options=LoadOptions(encoding="klingon"))


def test_an_accent_at_the_very_end_is_read(tmp_path: Path) -> None:
    data = load(write(tmp_path, "id,name\n1,Ann\n2,Andr\u00e9", encoding="cp1252"))
    assert data.original("name", 2) == "André"


def test_cells_that_look_like_formulas_are_data(tmp_path: Path) -> None:
    data = load(write(tmp_path, "id,note\n1,=1+1\n2,@SUM(A1)\n3,+cmd\n4,-x\n"))
    assert column(data, "note") == ["=1+1", "@sum(a1)", "+cmd", "-x"]


def test_a_source_column_may_be_called_row(tmp_path: Path) -> None:
    data = load(write(tmp_path, "row,name\n7,A\n8,B\n"))
    assert data.table.column_names == ["row", "row (2)", "name"]
    assert column(data, "row") == [1, 2]


def test_formulas_of_a_workbook_give_their_results(tmp_path: Path) -> None:
    path = write_xlsx(
        tmp_path / "a.xlsx", [["net", "gross"], [10.5, "=A2*2→21"], [2.25, "=A3→4.5"]]
    )
    data = load(path)
    assert [data.original("gross", row) for row in (1, 2)] == ["21", "4.5"]


def test_a_formula_without_result_is_named(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [["net", "gross"], [1, "=A2*2→2"], [2, "=A3*2"]])
    with pytest.raises(errors.FormulaWithoutValue, match="cell B3") as caught:
        load(path)
    assert (caught.value.line, caught.value.column) == (3, "column B")


def test_merged_headers_become_one(tmp_path: Path) -> None:
    rows = [
        ["Quarterly report", None, None, None],
        [None, None, None, None],
        ["Name", "2023", None, "2024"],
        [None, "paid", "open", "paid"],
        *[[f"Firm {n}", 1.5 * n, 2.5, 3.5] for n in range(1, 6)],
    ]
    data = load(write_xlsx(tmp_path / "a.xlsx", rows, merged=["A1:D1", "B3:C3", "A3:A4"]))
    assert [found.name for found in data.columns] == ["Name", "2023 paid", "2023 open", "2024 paid"]
    assert data.rows == 5


def test_an_empty_workbook_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.EmptyDataset):
        load(write_xlsx(tmp_path / "a.xlsx", []))


def test_json_lines_have_the_columns_of_all_objects(tmp_path: Path) -> None:
    text = '{"id": "a1", "who": {"name": "Ann"}}\n\n{"id": "a2", "n": 1.5, "tags": ["x", "y"]}\n'
    data = load(write(tmp_path, text, "data.jsonl"))
    assert [found.name for found in data.columns] == ["id", "who.name", "n", "tags"]
    assert data.original_values(["who.name", "tags"], [2, 1]) == [
        {"who.name": None, "tags": "x; y"},
        {"who.name": "Ann", "tags": None},
    ]


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.BadRecord) as caught:
        load(write(tmp_path, '{"id": 1}\n{"id": 2,}\n', "data.jsonl"), folder=tmp_path / "held")
    assert caught.value.line == 2
    assert not list((tmp_path / "held").iterdir())


def test_parquet_keeps_its_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "key": ["a1", "a2", "a3"],
            "amount": pa.array([Decimal("1.10"), None, Decimal("-2.25")], pa.decimal128(9, 2)),
            "day": pa.array([dt.date(2024, 1, 2), dt.date(2024, 1, 3), None]),
            "flag": [True, False, True],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    data = load(tmp_path / "t.parquet")
    assert column(data, "amount") == [Decimal("1.10"), None, Decimal("-2.25")]
    assert column(data, "day") == [dt.date(2024, 1, 2), dt.date(2024, 1, 3), None]
    assert column(data, "flag") == [True, False, True]


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.DatasetUnreadable):
        load(write(tmp_path, b"PAR1" + b"x" * 500))


def test_amounts_come_in_minor_units_of_a_common_scale(tmp_path: Path) -> None:
    data = load(write(tmp_path, "id,amount\nA,1.5\nB,-22.25\nC,\n"))
    assert data["amount"].type is ColumnType.decimal
    assert data.minor_units("amount", 3).to_pylist() == [1500, -22250, None]


def test_a_temporary_folder_goes_with_its_dataset(tmp_path: Path) -> None:
    data = load(write(tmp_path, "id,name\n1,A\n2,B\n"))
    assert data.cleaned is not None
    folder = data.cleaned.parent
    assert folder.exists()
    del data
    assert not folder.exists()


def test_awkward_files_of_others(shared_data: Path) -> None:
    files = shared_data / "documents" / "files"
    cups = load(files / "stanley-cups-utf-16.csv")
    assert [found.name for found in cups.columns] == ["Team", "Location", "Stanley Cups"]
    assert load(files / "test_mskanji.csv").original("名前", 1) == "佐藤太郎"
    people = load(files / "csv-semicolon.csv")
    assert people["Email"].role is Role.email
    assert people["Subscription Date"].role is Role.date
    assert load(files / "markitdown-test.xls").rows == load(files / "markitdown-test.xlsx").rows
    with pytest.raises(errors.DatasetProtected):
        load(files / "password_protected.xlsx")
    with pytest.raises(errors.EmptyDataset):
        load(files / "empty.txt")
    for name in ("random.bin", "habibi.pdf", "docx-tables.docx", "test_llm.jpg", "wiki.md"):
        with pytest.raises(errors.DatasetUnreadable):
            load(files / name)


def test_progress_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name\n" + "".join(f"{n},N{n}\n" for n in range(20_000)))
    told: list[tuple[str, float]] = []
    load_parts([path, path], progress=lambda step, share: told.append((step, share)))
    load_parts([path], progress=lambda step, share: told.append((step, share)))
    first = told[: told.index(("cleaning", 1.0)) + 1]
    for run in (first, told[len(first) :]):
        assert [share for _, share in run] == sorted(share for _, share in run)
        assert run[0] == ("reading", 0.0)
        assert run[-1] == ("cleaning", 1.0)
        assert {step for step, _ in run} == {"reading", "looking", "cleaning"}
        assert any(0 < share < 0.5 for _, share in run)
