"""Request ids and the statements of a request."""

from __future__ import annotations

from uuid import UUID

import pytest

from muniment.observability.request_record import RequestRecord, StatementLimits, request_id_from


@pytest.mark.parametrize("sent", [b"a", b"trace-1.2:3=x/y+z", b"x" * 128])
def test_sane_ids_are_kept(sent: bytes) -> None:
    assert request_id_from(sent) == sent.decode()


@pytest.mark.parametrize("sent", [None, b"", b"x" * 129, b"a b", b'"', b"a\nb", b"\xe9", b"<b>"])
def test_other_ids_are_replaced(sent: bytes | None) -> None:
    assert UUID(request_id_from(sent)).version == 7


def test_beginning_and_committing_are_no_statements_of_the_request() -> None:
    record = RequestRecord("x")
    for name in ("db.begin", "jobs.list_jobs", "db.commit"):
        record.count_statement(name)
    assert record.statements == {"jobs.list_jobs": 1}


@pytest.mark.parametrize(
    ("counts", "excess"),
    [
        ({}, None),
        ({"a": 4}, None),
        ({"a": 5}, "repeated"),
        ({"a": 4, "b": 4}, None),
        ({str(number): 1 for number in range(10)}, None),
        ({str(number): 1 for number in range(11)}, "many"),
        ({str(number): 1 for number in range(11)} | {"a": 5}, "repeated"),
    ],
)
def test_many_statements_are_suspicious(counts: dict[str, int], excess: str | None) -> None:
    record = RequestRecord("x")
    for name, times in counts.items():
        for _ in range(times):
            record.count_statement(name)
    assert record.excess(StatementLimits(most=10, repeated=5)) == excess


def test_limits_of_jobs_are_their_own() -> None:
    record = RequestRecord("x")
    record.statements.update({"a": 150})
    assert record.excess(StatementLimits(most=500, repeated=200)) is None
    assert record.excess(StatementLimits(most=100, repeated=200)) == "many"
