"""Files that are wrong, odd or hostile: a clear error with its place, and nothing half-loaded."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muniment.reconcile.columns import Role
from muniment.reconcile.loading import LoadOptions, Part, errors, load, load_parts, workbook
from muniment.reconcile.loading.options import MAX_BYTES
from tests.reconcile.workbooks import Cell, write_xlsx

SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path, kind: type[errors.DatasetUnreadable]) -> errors.DatasetUnreadable:
    """Load a file that must be refused, and check that nothing of it is left."""
    held = path.parent / "held"
    with pytest.raises(kind) as caught:
        load(path, folder=held)
    assert not list(held.iterdir())
    return caught.value


def sheet_xml(path: Path, xml: str) -> Path:
    """Write a workbook whose one sheet is this XML."""
    write_xlsx(path, [["a", "b"], [1, 2]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, xml if name.endswith("sheet1.xml") else text)
    return path


# --- text


def test_a_zero_byte_is_named(tmp_path: Path) -> None:
    found = refused(write(tmp_path, "id,name\n1,Ann\n2,Bo\0b\n"), errors.DatasetUnreadable)
    later = "id,name\n" + "1,Ann\n" * 20_000 + "2,Bo\0b\n"
    found = refused(write(tmp_path, later), errors.UnreadableCharacter)
    assert (found.row, found.column) == (20_001, "name")


def test_more_columns_than_anybody_looks_at(tmp_path: Path) -> None:
    lines = [",".join(f"c{n}" for n in range(10_000)), *[",".join(["1"] * 10_000)] * 20]
    found = refused(write(tmp_path, "\n".join(lines)), errors.TooManyColumns)
    assert (found.row, found.column) == (0, "column 2001")
    assert "10,000" in found.detail


def test_a_wide_table_below_that_is_loaded(tmp_path: Path) -> None:
    lines = [",".join(f"c{n}" for n in range(600)), *[",".join(["7"] * 600)] * 20]
    assert len(load(write(tmp_path, "\n".join(lines))).columns) == 600


def test_a_cell_as_large_as_a_file_is_named(tmp_path: Path) -> None:
    text = "id,name,text\n1,A,x\n2,B," + "x" * (3 << 20) + "\n3,C,x\n"
    found = refused(write(tmp_path, text), errors.CellTooLarge)
    assert (found.row, found.line, found.column) == (2, 3, "column 3")
    found = refused(write(tmp_path, b"x" * (40 << 20)), errors.CellTooLarge)
    assert found.line == 1


def test_a_quotation_mark_that_swallows_the_file_is_named(tmp_path: Path) -> None:
    text = 'id,name\n1,A\n2,"B\n' + "3,C and more\n" * 100_000
    found = refused(write(tmp_path, text), errors.UnclosedQuote)
    assert (found.row, found.line, found.column) == (2, 3, "column 2")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_way(tmp_path: Path, end: str) -> None:
    data = load(write(tmp_path, end.join(["id;name", "1;Ann", "2;Bob", ""])))
    assert data.original_values(["id", "name"], [2]) == [{"id": "2", "name": "Bob"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_marks_of_byte_order_are_no_data(tmp_path: Path, encoding: str) -> None:
    text = "id,name\n" + "1,Zoë Ångström of the harbour office\n" * 20
    data = load(write(tmp_path, text.encode(encoding)))
    assert [column.name for column in data.columns] == ["id", "name"]


def test_a_page_that_is_called_a_workbook(tmp_path: Path) -> None:
    page = "<html><body><table><tr><td>1</td></tr></table></body></html>"
    assert "save it as XLSX" in refused(write(tmp_path, page, "x.xls"), errors.NotATable).detail
    bare = "<table border=1>\n<tr><th>id</th></tr></table>"
    refused(write(tmp_path, bare, "y.xls"), errors.NotATable)


def test_a_sparse_file_above_the_ceiling_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, "id,name\n")
    os.truncate(path, MAX_BYTES + 1)
    assert refused(path, errors.DatasetTooLarge).status == 413


# --- what stands around a table


def test_totals_and_remarks_below_the_table_are_no_records(tmp_path: Path) -> None:
    rows = "".join(f"INV-{n},2024-01-{n:02d},{n}.50\n" for n in range(1, 9))
    data = load(write(tmp_path, f"no,date,amount\n{rows}Total,,40.00\n\nPrinted by Ann\n"))
    assert data.rows == 8
    assert data.notes[-1] == "2 rows below the table left out: “Total”, “Printed by Ann”"
    assert data["date"].empty == 0


@pytest.mark.parametrize(
    "last",
    ["Total,2024-02-01,3.50", "Total GmbH,,3.50", "INV-9,,", ",,9.50", "Sum of things and more,,9"],
)
def test_a_record_that_is_like_a_total_is_kept(tmp_path: Path, last: str) -> None:
    rows = "".join(f"Firm {n},2024-01-{n:02d},{n}.50\n" for n in range(1, 9))
    assert load(write(tmp_path, f"name,date,amount\n{rows}{last}\n")).rows == 9


def test_totals_of_a_workbook_are_no_record(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [["Nr", "Kunde", "Betrag"]]
    rows += [[n, f"Firma {n}", n * 1.5] for n in range(1, 8)]
    path = write_xlsx(tmp_path / "a.xlsx", [*rows, [None, None, None], [None, "Summe:", 42.0]])
    data = load(path)
    assert (data.rows, data["Betrag"].role) == (7, Role.amount)


def test_titles_merged_headers_and_blank_columns(tmp_path: Path) -> None:
    text = "Report of May;;;;\n;;;;\nId;Paid;;Open;\n;net;gross;net;\n" + "".join(
        f"K{n};{n},50;{n},75;1,00;\n" for n in range(1, 9)
    )
    data = load(write(tmp_path, text))
    assert [column.name for column in data.columns] == ["Id", "Paid net", "Paid gross", "Open net"]
    assert data.values("Paid net").to_pylist()[0] == Decimal("1.50")


def test_dates_in_both_orders_are_told(tmp_path: Path) -> None:
    days = [f"{n:02d}/01/2024" for n in range(13, 29)] + ["02/25/2024", "03/30/2024"]
    text = "key,day\n" + "".join(f"K{n},{day}\n" for n, day in enumerate(days))
    data = load(write(tmp_path, text))
    assert data["day"].odd == 2
    assert [odd.row for odd in data["day"].odd_values] == [17, 18]
    assert data.original("day", 17) == "02/25/2024"


# --- workbooks


def test_a_zip_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sheet_xml(tmp_path / "a.xlsx", SHEET + "<sheetData>" + " " * (8 << 20))
    assert path.stat().st_size < 64 * 1024
    monkeypatch.setattr(workbook, "UNPACKED_LIMIT", 4 << 20)
    assert "unpacks to 8 MiB" in refused(path, errors.DatasetTooLarge).detail


def test_a_row_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_ROW_LIMIT", 1 << 20)
    path = sheet_xml(tmp_path / "a.xlsx", SHEET + "<sheetData><row>" + " " * (16 << 20))
    assert "row of the sheet" in refused(path, errors.DatasetTooLarge).detail


def test_two_cells_far_apart_take_no_room(tmp_path: Path) -> None:
    cells = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row>'
        '<row r="2"><c r="A2"><v>5</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    )
    path = sheet_xml(tmp_path / "a.xlsx", f"{SHEET}<sheetData>{cells}</sheetData></worksheet>")
    found = refused(path, errors.RaggedRow)
    assert (found.row, found.line) == (2, 1_048_576)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 << 20


@pytest.mark.parametrize(
    "xml",
    [
        "garbage",
        f"{SHEET}<sheetData><row r='1'>",
        f"{SHEET}<sheetData><row r='1'><c r='A1'><v>1</c></row></sheetData></worksheet>",
    ],
)
def test_a_damaged_sheet_is_refused(tmp_path: Path, xml: str) -> None:
    assert (
        "workbook" in refused(sheet_xml(tmp_path / "a.xlsx", xml), errors.DatasetUnreadable).detail
    )


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx", [["id", "n"], *[[n, n] for n in range(900)]])
    data = bytearray(path.read_bytes())
    place = data.index(b"xl/worksheets/sheet1.xml") + 200
    data[place : place + 50] = b"\xff" * 50
    refused(write(tmp_path, bytes(data), "b.xlsx"), errors.DatasetUnreadable)
    refused(write(tmp_path, bytes(data[:600]), "c.xlsx"), errors.DatasetUnreadable)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_sheet_in_slices_is_the_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: bool
) -> None:
    monkeypatch.setattr(workbook, "_SLICE", 1 << 12)
    monkeypatch.setattr(workbook, "_PIECE", 1 << 10)

    def at(ref: str) -> str:
        return f' r="{ref}"' if numbered else ""

    head = f"<x:row{at('4')}><x:c{at('C4')} t='inlineStr'><x:is><x:t>id</x:t></x:is></x:c>"
    lines = [f"{head}<x:c{at('D4')} t='inlineStr'><x:is><x:t>n</x:t></x:is></x:c></x:row>"]
    lines += [
        f"<x:row{at(str(n))}><x:c{at(f'C{n}')} t='inlineStr'><x:is><x:t>K{n}</x:t></x:is></x:c>"
        f"<x:c{at(f'D{n}')}><x:f>1+{n}</x:f><x:v>{n}.5</x:v></x:c></x:row>"
        for n in range(5, 1205)
    ]  # fmt: skip
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    start, end = f'<x:worksheet xmlns:x="{namespace}"><x:sheetData>', "</x:sheetData></x:worksheet>"
    path = sheet_xml(tmp_path / "a.xlsx", start + "".join(lines) + end)
    data = load(path)
    assert data.rows == 1200
    assert data.notes[-1] == "1,200 formulas: their saved results are read"
    assert data.original_values(["id", "n"], [1, 600, 1200]) == [
        {"id": f"K{n}", "n": f"{n}.5"} for n in (5, 604, 1204)
    ]
    lines[700] = lines[700].replace("</x:row>", f"<x:c{at('F704')}><x:v>1</x:v></x:c></x:row>")
    found = refused(sheet_xml(tmp_path / "b.xlsx", start + "".join(lines) + end), errors.RaggedRow)
    assert (found.row, found.line) == (700, 704 if numbered else 701)


def test_results_that_are_errors_or_empty_texts_are_no_values(tmp_path: Path) -> None:
    cells = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c>'
        '<c r="B1" t="inlineStr"><is><t>n</t></is></c></row>'
        '<row r="2"><c r="A2"><v>5</v></c><c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
        '<row r="3"><c r="A3"><v>6</v></c><c r="B3" t="str"><f>IF(1,"")</f><v></v></c></row>'
        '<row r="4"><c r="A4"><v>7</v></c><c r="B4"><v>7.25</v></c></row>'
    )
    data = load(
        sheet_xml(tmp_path / "a.xlsx", f"{SHEET}<sheetData>{cells}</sheetData></worksheet>")
    )
    assert data.values("n").to_pylist() == [None, None, Decimal("7.25")]


# --- several files


def test_files_one_after_the_other_are_as_one(tmp_path: Path) -> None:
    lines = [f"K{n},2024-01-{1 + n % 28:02d},{n}.25\n" for n in range(40)]
    whole = load(write(tmp_path, "key,date,amount\n" + "".join(lines), "whole.csv"))
    first = write(tmp_path, "key,date,amount\n" + "".join(lines[:15]), "a.csv")
    second = "Amount;Key;Date\n" + "".join(
        ";".join([line.split(",")[2].strip(), *line.split(",")[:2]]) + "\n" for line in lines[15:30]
    )
    rows = [line.strip().split(",") for line in lines[30:]]
    pq.write_table(
        pa.table(
            dict(zip(["key", "date", "amount"], map(list, zip(*rows, strict=True)), strict=True))
        ),
        tmp_path / "c.parquet",
    )
    held = tmp_path / "held"
    parts = [first, write(tmp_path, second, "b.csv"), tmp_path / "c.parquet"]
    data = load_parts(parts, folder=held)
    assert data.table.equals(whole.table)
    assert pq.read_table(data.originals).equals(pq.read_table(whole.originals))
    assert sorted(path.name for path in held.iterdir()) == ["cleaned.parquet", "originals.parquet"]
    assert data.notes[1] == "b.csv: 15 rows, encoding utf-8, delimiter ;"


def test_a_file_with_other_columns_is_named_with_them(tmp_path: Path) -> None:
    first = write(tmp_path, "key,date,amount\nA,2024-01-02,1.00\n", "jan.csv")
    other = write(tmp_path, "key,date,sum\nB,2024-02-02,1.00\n", "feb.csv")
    with pytest.raises(errors.ColumnsDiffer) as caught:
        load_parts([first, other], folder=tmp_path / "held")
    assert caught.value.detail.startswith("“feb.csv” lacks “amount” and has “sum” besides;")
    assert caught.value.errors[0]["file"] == "feb.csv"
    assert not list((tmp_path / "held").iterdir())


def test_the_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    first = write(tmp_path, "key,n\nA,1\n", "jan.csv")
    other = write(tmp_path, "key,n\nB,2\nC\n", "upload-7f.csv")
    with pytest.raises(errors.RaggedRow, match=r"^feb\.csv: Row 2 ") as caught:
        load_parts([first, Part(other, "feb.csv")])
    assert caught.value.errors[0] | {"detail": ""} == {
        "row": 2, "column": "n", "line": 3, "detail": "", "file": "feb.csv",
    }  # fmt: skip


def test_files_are_too_large_together(tmp_path: Path) -> None:
    parts = [write(tmp_path, "key,n\n" + "A,1\n" * 300, name) for name in ("a.csv", "b.csv")]
    with pytest.raises(errors.DatasetTooLarge, match="together"):
        load_parts(parts, options=LoadOptions(max_bytes=2000))


# --- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def _csv(folder: Path) -> Path:
    lines = "".join(f"{n},{os.urandom(20).hex()}\n" for n in range(40_000))
    return write(folder, "id,name\n" + lines)


def _parquet(folder: Path) -> Path:
    load(_csv(folder), folder=folder / "p")
    return folder / "p" / "originals.parquet"


@pytest.mark.parametrize("made", [_csv, _parquet])
def test_a_full_disk_is_told_apart_from_a_bad_file(
    tmp_path: Path, small_disk: Path, made: Callable[[Path], Path]
) -> None:
    with pytest.raises(errors.NoRoomForDataset) as caught:
        load(made(tmp_path), folder=small_disk)
    assert caught.value.status == 507
    assert not list(small_disk.iterdir())


def test_interrupted_loading_leaves_nothing(tmp_path: Path) -> None:
    held = tmp_path / "held"
    program = (
        "import sys, threading, _thread\n"
        "from pathlib import Path\n"
        "from muniment.reconcile.loading import load, stage\n"
        "def stop():\n"
        "    while not list(Path(sys.argv[2]).glob('originals*')): pass\n"
        "    _thread.interrupt_main()\n"
        "threading.Thread(target=stop, daemon=True).start()\n"
        "load(Path(sys.argv[1]), folder=Path(sys.argv[2]))\n"
    )
    lines = "".join(f"{n},{n * 7},name {n}\n" for n in range(400_000))
    path = write(tmp_path, "id,b,name\n" + lines)
    held.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, path, held], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert "KeyboardInterrupt" in done.stderr
    assert not list(held.iterdir())
