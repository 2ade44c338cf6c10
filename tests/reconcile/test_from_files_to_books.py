"""The whole way over HTTP: files, a run, decisions, the report, golden records, exports."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

import muniment
from tests.reconcile.served import Asking

pytestmark = pytest.mark.usefixtures("worker")

SAMPLE = Path(muniment.__file__).parent / "sample" / "reconcile"


async def matches(asking: Asking, **wanted: Any) -> dict[tuple[str, str], dict[str, Any]]:
    answer = await asking.get("/matches", params={"limit": 100, **wanted})
    assert answer.status_code == 200, answer.text
    return {
        (one["left"]["identifier"], one["right"]["identifier"]): one
        for one in answer.json()["items"]
    }


async def decide(asking: Asking, *decisions: tuple[dict[str, Any], str]) -> Any:
    told = [
        {"match_id": match["id"], "version": match["version"], "action": action}
        for match, action in decisions
    ]
    return await asking.post("/decisions", json={"decisions": told})


async def test_bank_lines_are_settled_with_invoices(asking: Asking) -> None:
    for side, name in (("left", "bank"), ("right", "invoices"), ("evidence", "remittance")):
        loaded = await asking.load(side, (SAMPLE / f"{name}.csv").read_bytes())
        assert loaded["status"] == "ready", loaded
    run = await asking.run()
    assert (run["status"], run["kind"]) == ("succeeded", "ledger"), run
    found = await matches(asking, status="matched")
    several = [pair for pair in found if pair[0] == "B-304"]
    assert {right for _, right in several} >= {"T-2026-044", "T-2026-045"}
    one, other = found["B-301", "T-2026-041"], found["B-302", "T-2026-042"]
    assert one["stage"] in {"exact", "tolerance"}
    assert Decimal(one["amount"]) == Decimal("4250.00")
    assert {fact["field_left"] for fact in one["explanation"]} >= {"amount"}

    answer = await decide(asking, (one, "accept"), (other, "reject"))
    assert (answer.status_code, answer.json()["decided"]) == (200, 2)
    stale = await decide(asking, (one, "reject"))
    assert (stale.status_code, stale.json()["code"]) == (409, "decision_conflict")
    [fault] = stale.json()["errors"]
    assert (fault["status"], fault["version"]) == ("accepted", one["version"] + 1)

    # A full run afterwards keeps to what was decided, and finds the rest as it was.
    again = await asking.run("full")
    assert again["status"] == "succeeded"
    now = await matches(asking)
    assert now["B-301", "T-2026-041"]["status"] == "accepted"
    assert now["B-302", "T-2026-042"]["status"] == "rejected"
    assert all(now[pair]["status"] == "matched" for pair in several)
    opened = (await asking.get("/unmatched", params={"side": "left"})).json()["items"]
    assert "B-302" in {record["identifier"] for record in opened}

    report = (await asking.get("/report")).json()
    assert report["matches"]["accepted"] == 1, report
    assert "EUR" in {entry["currency"] for entry in report["sums"]}, report
    history = (await asking.get("/decisions")).json()["items"]
    assert {entry["action"] for entry in history} == {"accept", "reject"}

    undone = await decide(asking, (now["B-302", "T-2026-042"], "reset"))
    assert undone.status_code == 200
    assert (await matches(asking))["B-302", "T-2026-042"]["decision"] is None

    golden = (await asking.get("/golden")).json()["items"]
    paid = next(
        one
        for one in golden
        if {member["identifier"] for member in one["members"]} >= {"B-301", "T-2026-041"}
    )
    # The invoice has more to tell; the name of a golden column is the left one's.
    assert paid["values"]["text"] == "Ellery Harbour Board"
    assert {"2026-03-04", "4250.00"} & set(paid["values"].values()), paid

    exported = await asking.get("/export", params={"what": "matches", "format": "csv"})
    lines = list(csv.DictReader(io.StringIO(exported.text)))
    assert {"B-301", "B-304"} <= {line["left_id"] for line in lines}
    book = await asking.get("/export", params={"what": "matches", "format": "xlsx"})
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(book.content)).get_sheet_by_index(0)
    [header, *cells] = sheet.to_python()
    assert header == list(lines[0])
    assert len(cells) == len(lines)
