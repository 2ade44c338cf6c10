"""`muniment reconcile` on this machine: files in, files out, no database."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner, Result

import muniment
from muniment.cli import app
from tests.conftest import Clone

SAMPLE = Path(muniment.__file__).parent / "sample" / "reconcile"
COLUMNS = "left_row,right_row,left_id,right_id,amount,confidence,status,stage,explanation"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is run in; temporary files are made below another one."""
    folder, temporary = tmp_path / "here", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("MUNIMENT_URL", raising=False)
    return folder


def reconcile(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["reconcile", *map(str, arguments)])


def answer(*arguments: str | Path) -> Any:
    result = reconcile(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def rows(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_readme_command_as_a_user_types_it(here: Path) -> None:
    command = [sys.executable, "-m", "muniment", "reconcile", "bank.csv", "invoices.csv"]
    for name in ("bank.csv", "invoices.csv", "remittance.csv"):
        (here / name).write_bytes((SAMPLE / name).read_bytes())
    done = subprocess.run(
        [*command, "--evidence", "remittance.csv"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for said in ("bank with invoices, evidence in remittance", "matches.csv", "25,731.30",
                 "booking (identifier, names the records)"):  # fmt: skip
        assert said in done.stdout
    assert (here / "matches.csv").read_text().splitlines()[0] == COLUMNS
    pairs = {(row["left_id"], row["right_id"]): row for row in rows("matches.csv")}
    assert len(pairs) == len(rows("matches.csv"))
    # One payment that settles three invoices is three rows; one of them had no reference.
    three = {pair[1]: row["amount"] for pair, row in pairs.items() if pair[0] == "B-311"}
    assert three == {"T-2026-051": "540.00", "T-2026-052": "585.00", "T-2026-053": "612.75"}
    first = pairs["B-301", "T-2026-041"]
    assert (first["left_row"], first["right_row"], first["status"]) == ("1", "1", "matched")
    assert float(first["confidence"]) > 0.9
    assert "amount: 4250.00 equal (+" in first["explanation"]
    left_over = {row["id"] for row in rows("matches-unmatched.csv")}
    assert {"B-306", "B-314", "T-2026-058"} <= left_over
    assert names(here.parent / "temporary") == set()


def test_one_json_object_tells_it_all(here: Path) -> None:
    found = answer(
        SAMPLE / "bank.csv", SAMPLE / "invoices.csv", "--evidence", SAMPLE / "remittance.csv",
        "--out", here / "new" / "found.csv",
    )  # fmt: skip
    assert found["kind"] == "ledger"
    assert found["left"]["identifier"] == "booking"
    assert found["right"]["matched"] + found["right"]["unmatched"] == 18
    assert {column["name"]: column["role"] for column in found["right"]["columns"]}[
        "amount"
    ] == "amount"
    [euros] = found["right"]["sums"]
    assert euros["currency"] == "EUR"
    total = sum(Decimal(euros[part]) for part in ("matched", "review", "offset", "unmatched"))
    assert total == Decimal("30150.30")
    # 15.00 were deducted by a bank and 1,800.00 of an invoice are not paid yet.
    assert Decimal(euros["matched"]) - Decimal(euros["settled"]) == Decimal("1815.00")
    assert sum(stage["matched"] for stage in found["stages"]) == found["matched"]
    assert {file["what"]: Path(file["path"]).name for file in found["files"]} == {
        "matches": "found.csv", "review": "found-review.csv", "unmatched": "found-unmatched.csv",
    }  # fmt: skip
    assert found["files"][0]["rows"] == len(rows(here / "new" / "found.csv"))


def test_duplicates_of_one_file_have_a_cluster(here: Path) -> None:
    result = reconcile(SAMPLE / "members.csv", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    found = rows("matches.csv")
    assert list(found[0]) == [*COLUMNS.split(","), "cluster_id"]
    clusters = {(row["left_id"], row["right_id"]): row["cluster_id"] for row in found}
    assert {("2", "7"): "2", ("5", "11"): "5", ("9", "14"): "9"}.items() <= clusters.items()
    assert names(here) == {"matches.csv", "matches-review.csv"}


def test_identifiers_are_those_of_the_files(here: Path, shared_data: Path) -> None:
    folder = shared_data / "linkage" / "fodors-zagats"
    assert reconcile(folder / "left.csv", folder / "right.csv", "-q").exit_code == 0
    for side in ("left", "right"):
        known = {row["id"]: number for number, row in enumerate(rows(folder / f"{side}.csv"), 1)}
        found = rows("matches.csv")
        assert found
        for row in found:
            assert known[row[f"{side}_id"]] == int(row[f"{side}_row"])


RAGGED = "id,name,amount\n1,Ada,3.10\n2,Bea\n"
BAD = {
    "ragged.csv": (RAGGED.encode(), "Row 2 (line 3)"),
    "empty.csv": (b"", "empty"),
    "header.csv": (b"id,name,amount\n", "no row"),
    "twice.csv": (b"id,name,name\n1,a,b\n", "name"),
    "page.csv": (b"<!DOCTYPE html><html><body>Not here</body></html>", "HTML"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_sentence_and_leaves_nothing(here: Path, name: str) -> None:
    content, said = BAD[name]
    bad = here / name
    bad.write_bytes(content)
    result = reconcile(SAMPLE / "bank.csv", bad)
    assert result.exit_code == 1, result.stdout
    [line] = result.stderr.strip().splitlines()
    assert line.startswith(f"Error: {bad}: ")
    assert said in line
    assert result.stdout == ""
    assert names(here) == {name}
    assert names(here.parent / "temporary") == set()


def test_files_without_anything_in_common(here: Path) -> None:
    (here / "a.csv").write_text("price\n1.10\n2.20\n")
    (here / "b.csv").write_text("color\nred\ngreen\n")
    result = reconcile("a.csv", "b.csv")
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "price" in result.stderr
    assert "color" in result.stderr
    assert names(here) == {"a.csv", "b.csv"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "2"], "threshold"),
        (["--role", "left.booking=key"], "identifier"),
        (["--role", "booking=identifier"], "SIDE.COLUMN=ROLE"),
        (["--delimiter", "evidence=;"], "no evidence file"),
        (["--delimiter", "comma"], "one character"),
        (["--rules", "rules.json"], "fuzzy"),
        (["--out", str(SAMPLE / "bank.csv")], "used already"),
        (["--review-out", "matches.csv"], "used already"),
        (["--evidence", "query.sql"], "--database"),
    ],
)
def test_wrong_usage_is_told_before_any_work(here: Path, arguments: list[str], said: str) -> None:
    (here / "rules.json").write_text('{"stages": {"fuzzy": true}}')
    (here / "query.sql").write_text("SELECT 1")
    result = reconcile(SAMPLE / "bank.csv", SAMPLE / "invoices.csv", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert names(here) == {"rules.json", "query.sql"}


def test_missing_file_and_folder_are_one_sentence(here: Path) -> None:
    for path in ("nowhere.csv", here):
        result = reconcile(SAMPLE / "bank.csv", path)
        assert result.exit_code == 1
        assert str(path) in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_what_is_replaced(here: Path) -> None:
    members = SAMPLE / "members.csv"
    kept = here / "matches.csv"
    kept.write_text("my own list\n")
    refused = reconcile(members)
    assert refused.exit_code == 1
    assert "--out" in refused.stderr
    assert kept.read_text() == "my own list\n"
    # A name that was given is to be written; so are results of an earlier run.
    assert answer(members, "--out", kept)["files"][0]["replaced"]
    assert answer(members)["files"][0]["replaced"]
    assert reconcile(members, "--out", here).exit_code == 1
    (here / "file").write_text("")
    below = reconcile(members, "--out", here / "file" / "matches.csv")
    assert below.exit_code == 1
    assert "cannot be written" in below.stderr


def test_a_result_that_cannot_be_written_leaves_the_others_as_they_were(here: Path) -> None:
    (here / "matches.csv").write_text(f"{COLUMNS}\n")
    # Long enough that only the name under which it is prepared is too long for a file system,
    # so that it shows when everything is done; the other one shows at once.
    for name in ("x" * 250, "x" * 300):
        result = reconcile(SAMPLE / "members.csv", "--review-out", name)
        assert result.exit_code == 1
        assert "cannot be written: File name too long." in result.stderr
        assert (here / "matches.csv").read_text() == f"{COLUMNS}\n"
        assert names(here) == {"matches.csv"}


def test_how_files_are_read_is_told_side_by_side(here: Path) -> None:
    (here / "left.csv").write_bytes(
        "Nr|Name|Ort\n7|Jörg Weiß|Köln\n8|Ana Peña|Gijón\n".encode("cp1252")
    )
    (here / "right.csv").write_text("Nr\tName\tOrt\n1\tJoerg Weiss\tKoeln\n2\tAna Pena\tGijon\n")
    found = answer(
        "left.csv", "right.csv", "--delimiter", "left=|", "--delimiter", "right=tab",
        "--encoding", "left=cp1252", "--role", "left.Name=identifier",
    )  # fmt: skip
    assert found["left"]["identifier"] == "Name"
    assert any("cp1252" in note for note in found["left"]["notes"])
    assert [column["name"] for column in found["right"]["columns"]] == ["Nr", "Name", "Ort"]
    wrong = reconcile("left.csv", "right.csv", "--role", "left.Stadt=address")
    assert wrong.exit_code == 1
    assert "Stadt" in wrong.stderr


def test_rules_and_threshold_hold(here: Path) -> None:
    (here / "rules.json").write_text('{"stages": {"evidence": false, "grouped": false}}')
    found = answer(
        SAMPLE / "bank.csv", SAMPLE / "invoices.csv", "--evidence", SAMPLE / "remittance.csv",
        "--rules", "rules.json", "--threshold", "0.97",
    )  # fmt: skip
    assert found["threshold"] == 0.97
    assert not {"evidence", "grouped"} & {stage["stage"] for stage in found["stages"]}
    assert all(
        float(r["confidence"]) >= 0.97 for r in rows("matches.csv") if r["status"] == "matched"
    )


def test_records_of_a_query(here: Path, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "bank.sql").write_text(
        "SELECT 'B' || n AS booking, DATE '2026-03-01' + n AS day, 100.25 * n AS amount "
        "FROM generate_series(1, 20) AS n"
    )
    lines = "".join(f"I{n},2026-03-{n:02},{100.25 * n:.2f}\n" for n in range(1, 21))
    (here / "invoices.csv").write_text(f"invoice,day,amount\n{lines}")
    monkeypatch.setenv(
        "MUNIMENT_RECONCILE_CONNECTIONS", json.dumps({"books": clone.installation.owner_dsn})
    )
    assert answer("bank.sql", "invoices.csv", "--database", "books")["matched"] == 20
    unknown = reconcile("bank.sql", "invoices.csv", "--database", "ledger")
    assert unknown.exit_code == 2
    (here / "bank.sql").write_text("SELECT\nnothing FROM nowhere")
    failed = reconcile("bank.sql", "invoices.csv", "--database", clone.installation.owner_dsn)
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: bank.sql: ")
    assert "line 2" in failed.stderr


def test_plan_tells_what_would_be_compared_and_writes_nothing(here: Path) -> None:
    found = answer(SAMPLE / "members.csv", "--plan")
    assert found["left_records"] == 40
    assert found["possible_pairs"] == 780
    assert 0 < found["pairs"] <= 780
    assert {rule["kind"] for rule in found["rules"]} >= {"nearest"}
    shown = reconcile(SAMPLE / "bank.csv", SAMPLE / "invoices.csv", "--plan")
    assert shown.exit_code == 0, shown.stderr
    assert "pairs would be compared of 252 that there are" in shown.stdout
    assert "movements of money" in shown.stdout
    assert names(here) == set()


def test_a_pipe_is_read_once(here: Path) -> None:
    os.mkfifo(here / "pipe")
    writer = threading.Thread(
        target=(here / "pipe").write_bytes, args=((SAMPLE / "members.csv").read_bytes(),)
    )
    writer.start()
    assert answer("pipe", "--out", "/dev/null", "--review-out", "/dev/null")["left"]["rows"] == 40
    writer.join()
    assert names(here) == {"pipe"}
    assert Path("/dev/null").is_char_device()


def people(path: Path, count: int) -> Path:
    """Write persons that take a while to be compared with each other."""
    chosen = random.Random(5)
    first, last = (
        ["".join(chosen.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(size)]
        for size in (400, 4_000)
    )
    with path.open("w", encoding="utf-8") as file:
        file.write("id,first name,last name,born\n")
        for number in range(count):
            born = f"{chosen.randint(1930, 2010)}-{chosen.randint(1, 12):02}-11"
            file.write(f"P{number},{chosen.choice(first)},{chosen.choice(last)},{born}\n")
    return path


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return result


@pytest.fixture
def started(here: Path) -> Iterator[subprocess.Popen[str]]:
    people(here / "people.csv", 60_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "muniment", "reconcile", "people.csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_stopped_at_once_without_a_trace(
    here: Path, started: subprocess.Popen[str], sent: signal.Signals
) -> None:
    temporary = here.parent / "temporary"
    until(lambda: list(temporary.glob("*/left/originals.parquet")))
    family = psutil.Process(started.pid).children(recursive=True)
    assert family
    started.send_signal(sent)
    output, errors = started.communicate(timeout=10)
    assert started.returncode == 130
    assert errors.strip() == "Stopped. Nothing was written."
    assert output == ""
    assert not [process for process in family if process.is_running()]
    assert names(here) == {"people.csv"}
    assert names(temporary) == set()


def test_memory_has_a_ceiling(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_RECONCILE_MEMORY_MB", "256")
    result = reconcile(people(here / "people.csv", 60_000))
    assert result.exit_code == 1
    assert "MUNIMENT_RECONCILE_MEMORY_MB" in result.stderr
    assert names(here) == {"people.csv"}
