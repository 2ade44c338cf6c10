"""Which column names the records: what matches are told by, and what ids are made of."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from muniment.reconcile.columns import Dataset, Role
from muniment.reconcile.inference.keys import key_strength
from muniment.reconcile.loading import load

WORDS = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "harbor", "inlet", "knoll"]


def table(folder: Path, columns: dict[str, list[str]]) -> Dataset:
    with (folder / "data.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return load(folder / "data.csv")


def others(count: int, seed: int = 1) -> dict[str, list[str]]:
    """Columns that never name a record, though each of their values may stand once."""
    draw = random.Random(seed)
    return {
        "date": [f"2024-{1 + n // 28 % 12:02d}-{1 + n % 28:02d}" for n in range(count)],
        "amount": [f"{draw.randrange(10**6) / 100:.2f}" for _ in range(count)],
        "name": [f"{draw.choice(WORDS)} {draw.choice(WORDS)} {n}" for n in range(count)],
        "remark": [" ".join(draw.choices(WORDS, k=8)) for _ in range(count)],
    }


def named_by(data: Dataset) -> str | None:
    column = data.identifier()
    return column.name if column is not None else None


COUNT = 60
FORMS: dict[str, Callable[[random.Random, int], str]] = {
    "counted": lambda draw, n: str(n),
    "sparse": lambda draw, n: str(n * 977 + draw.randrange(977)),
    "huge": lambda draw, n: str(10**21 + n * 10**7 + draw.randrange(10**7)),
    "eight digits like dates": lambda draw, n: f"2024{1 + n // 28:02d}{1 + n % 28:02d}",
    "grouped digits like telephones": lambda draw, n: f"{draw.randrange(900) + 100}-555-{n:04d}",
    "passed through a float": lambda draw, n: f"{n * 13 + draw.randrange(13)}.0",
    "year and number": lambda draw, n: f"{n}/2024",
    "codes": lambda draw, n: f"TX-{n:05d}",
    "like a currency": lambda draw, n: f"R{n * 7}",
    "paths": lambda draw, n: (
        f"conf/{draw.choice(WORDS)}/{draw.choice(WORDS)}{draw.choice(WORDS)}{n}"
    ),
    "links": lambda draw, n: f"http://www.example.org/base/items/{draw.randrange(10**15)}{n}",
    "uuids": lambda draw, n: str(UUID(int=draw.getrandbits(128))),
    "letters": lambda draw, n: "".join(draw.choices("bcdfghjklmnp", k=9)),
    "with spaces": lambda draw, n: f"AB {n} {draw.randrange(1000)}",
    "of parts": lambda draw, n: f"ACME|{n % 5}|{n}",
    "not Latin": lambda draw, n: f"№{n}号",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_column_called_id_is_the_identifier(tmp_path: Path, form: str) -> None:
    draw = random.Random(form)
    values = [FORMS[form](draw, n) for n in range(COUNT)]
    first = table(tmp_path, {"id": values, **others(COUNT)})
    assert named_by(first) == "id", first["id"].reason
    assert first.original_values(["id"], [1, COUNT]) == [{"id": values[0]}, {"id": values[-1]}]
    last = table(tmp_path, {**others(COUNT), "id": values})
    assert named_by(last) == "id", last["id"].reason


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["invoice no", "customer_id"], "invoice no"),
        (["tax", "transaction_id"], "transaction_id"),
        (["reference", "id"], "id"),
        (["index", "transaction_id"], "transaction_id"),
        (["", "sku"], "sku"),
        (["Unnamed: 0", "rec_id"], "rec_id"),
        (["ean", "productID"], "productID"),
        (["Buchungs-Nr", "Kunden-ID"], "Buchungs-Nr"),
        (["order_id", "customer_id"], "order_id"),
        (["#"], "column 1"),
    ],
)
def test_of_several_unique_columns_the_likelier_one(
    tmp_path: Path, columns: list[str], expected: str
) -> None:
    draw = random.Random(5)
    codes = {
        name: [f"{n + 1}" if name in {"index", "", "Unnamed: 0", "#"} else f"K{place}{n:04d}"
               for n in range(COUNT)]
        for place, name in enumerate(columns)
    }  # fmt: skip
    draw.shuffle(codes[columns[-1]]) if len(columns) > 1 else None
    data = table(tmp_path, {**codes, **others(COUNT)})
    assert named_by(data) == (expected if expected != "column 1" else "#")
    assert len(data.of_role(Role.identifier)) == 1


def test_an_id_that_some_rows_share_or_lack_still_tells_which_record(tmp_path: Path) -> None:
    ids = [f"P-{n:03d}" for n in range(COUNT)]
    shared = [*ids[:-8], *ids[:8]]
    data = table(tmp_path, {"customer_id": shared, **others(COUNT)})
    assert data["customer_id"].role is Role.reference
    assert named_by(data) == "customer_id"
    missing = ["" if n % 9 == 0 else value for n, value in enumerate(ids)]
    assert named_by(table(tmp_path, {"customer_id": missing, **others(COUNT)})) == "customer_id"
    better = table(
        tmp_path, {"customer_id": shared, "code": [f"C{n}X" for n in range(60)], **others(COUNT)}
    )
    assert named_by(better) == "code"


def test_what_is_measured_or_repeated_names_nothing(tmp_path: Path) -> None:
    data = table(
        tmp_path,
        {**others(COUNT), "customer_id": [f"C-{n % 7}" for n in range(COUNT)]},
    )
    assert named_by(data) is None
    unique = {
        "paid": [f"{n}.50" for n in range(COUNT)],
        "day": [f"{1 + n % 28:02d}.{1 + n // 28:02d}.2024" for n in range(COUNT)],
        "weight": [str(n * 31) for n in range(COUNT)],
    }
    assert named_by(table(tmp_path, unique)) is None


def test_a_person_may_say_which(tmp_path: Path) -> None:
    from muniment.reconcile.preview import change

    data = table(tmp_path, {"id": [str(n) for n in range(COUNT)], **others(COUNT)})
    chosen = change(data, {"name": {"role": "identifier"}})
    assert named_by(chosen) == "name"
    assert named_by(change(chosen, {"name": None})) == "id"
    without = change(chosen, {"name": None, "id": {"role": "number"}})
    assert named_by(without) is None


@pytest.mark.parametrize(
    ("header", "strength"),
    [
        ("ID", 3), ("record_id", 3), ("recId", 3), ("Transaction ID", 2), ("id_cliente", 2),
        ("customerid", 2), ("invoice_no", 1), ("Nr.", 1), ("paid", 0), ("valid", 0),
        ("title", 0), ("#", -2), ("row", -2), ("Unnamed: 0", -2), ("column 1", -2),
    ],
)  # fmt: skip
def test_what_headers_say_of_keys(header: str, strength: float) -> None:
    assert key_strength(header) == strength
