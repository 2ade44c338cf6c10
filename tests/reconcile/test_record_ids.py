"""Ids of records: the same in every load of the same records, whatever else has changed."""

from __future__ import annotations

import csv
from pathlib import Path
from uuid import UUID

import pyarrow as pa

from muniment.reconcile.columns import Column, ColumnType, Dataset, Role
from muniment.reconcile.loading import load
from muniment.reconcile.record_ids import KeyKind, key_kind, key_of, record_ids

SPACE = UUID("6f1d2f0e-0b1c-8a3d-9e4f-001122334455")

Rows = list[dict[str, str]]


def loaded(folder: Path, rows: Rows, name: str = "data.csv", sign: str = ",") -> Dataset:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, delimiter=sign)
        writer.writeheader()
        writer.writerows(rows)
    return load(folder / name)


def by_row(data: Dataset, namespace: UUID = SPACE) -> list[UUID]:
    return [UUID(bytes=value) for value in record_ids(data, namespace).to_pylist()]


def people(count: int = 12) -> Rows:
    return [
        {"id": f"P-{n:03d}", "name": f"Ann Number {n}", "town": ["Bonn", "Rome"][n % 2]}
        for n in range(count)
    ]


def unnamed(count: int = 12) -> Rows:
    return [{"name": row["name"], "town": row["town"]} for row in people(count)]


def test_ids_are_uuids_of_version_8_and_all_different(tmp_path: Path) -> None:
    found = by_row(loaded(tmp_path, people()))
    assert {one.version for one in found} == {8}
    assert {one.variant for one in found} == {"specified in RFC 4122"}
    assert len(set(found)) == 12


def test_ids_outlive_a_new_order_of_rows_and_columns(tmp_path: Path) -> None:
    for rows in (people(), unnamed()):
        before = by_row(loaded(tmp_path, rows))
        turned = [dict(reversed(row.items())) for row in reversed(rows)]
        assert by_row(loaded(tmp_path, turned)) == before[::-1]


def test_ids_outlive_rows_that_are_added_and_removed(tmp_path: Path) -> None:
    for rows in (people(20), unnamed(20)):
        before = by_row(loaded(tmp_path, rows[:12]))
        assert by_row(loaded(tmp_path, rows[12:] + rows[:12]))[8:] == before
        assert by_row(loaded(tmp_path, rows[3:12])) == before[3:]


def test_an_identifier_outlives_other_cells(tmp_path: Path) -> None:
    before = by_row(loaded(tmp_path, people()))
    changed = [{**row, "town": "Oslo"} for row in people()]
    assert by_row(loaded(tmp_path, changed)) == before
    assert key_kind(loaded(tmp_path, people())) is KeyKind.identifier


def test_what_is_read_from_another_kind_of_file_is_the_same(tmp_path: Path) -> None:
    rows = unnamed()
    assert by_row(loaded(tmp_path, rows)) == by_row(loaded(tmp_path, rows, "b.csv", ";"))
    spaced = [{name: f" {value} " for name, value in row.items()} for row in rows]
    assert by_row(loaded(tmp_path, spaced)) == by_row(loaded(tmp_path, rows))


def test_equal_records_are_numbered(tmp_path: Path) -> None:
    rows = [*unnamed(4), *unnamed(4), *unnamed(4)]
    data = loaded(tmp_path, rows)
    found = by_row(data)
    assert key_kind(data) is KeyKind.content
    assert len(set(found)) == 12
    assert found[:4] == by_row(loaded(tmp_path, unnamed(4)))
    # Which of two equal records is which is nobody's business: the ids as a set are the same.
    assert set(by_row(loaded(tmp_path, [*rows[4:], *rows[:4]]))) == set(found)


def test_records_that_share_an_identifier_or_have_none_go_by_their_cells(tmp_path: Path) -> None:
    rows = people(80)
    before = by_row(loaded(tmp_path, rows))
    twice = [dict(row) for row in rows]
    twice[7]["id"] = rows[6]["id"]
    data = loaded(tmp_path, twice)
    assert key_of(data) == "id"
    after = by_row(data)
    assert len(set(after)) == 80
    assert after[:6] + after[8:] == before[:6] + before[8:]
    assert not {after[6], after[7]} & set(before)
    assert by_row(loaded(tmp_path, twice[::-1])) == after[::-1]


def test_a_key_that_is_kept_holds_when_another_would_be_found(tmp_path: Path) -> None:
    rows = people()
    first = loaded(tmp_path, rows)
    before = record_ids(first, SPACE).to_pylist()
    later = loaded(tmp_path, [{"uuid": f"u{n * 7:03d}x", **row} for n, row in enumerate(rows)])
    assert record_ids(later, SPACE, key_of(first)).to_pylist() == before
    assert record_ids(later, SPACE, "gone").to_pylist() != before


def test_a_namespace_has_ids_of_its_own(tmp_path: Path) -> None:
    data = loaded(tmp_path, people())
    assert not set(by_row(data)) & set(by_row(data, UUID(int=5)))


def test_empty_columns_do_not_count(tmp_path: Path) -> None:
    with_empty = [{**row, "remark": ""} for row in unnamed()]
    assert by_row(loaded(tmp_path, with_empty)) == by_row(loaded(tmp_path, unnamed()))


def test_a_table_in_memory_has_ids_too() -> None:
    table = pa.table({"name": ["ann", "bob", None, None], "n": pa.array([1, 2, 2, 2])})
    columns = [
        Column("name", ColumnType.text, Role.name),
        Column("n", ColumnType.integer, Role.number, index=1),
    ]
    found = by_row(Dataset.from_table("t", table, columns))
    assert len(set(found)) == 4


def test_no_records_have_no_ids() -> None:
    table = pa.table({"name": pa.array([], pa.string())})
    data = Dataset.from_table("t", table, [Column("name", ColumnType.text, Role.name)])
    assert len(record_ids(data, SPACE)) == 0
