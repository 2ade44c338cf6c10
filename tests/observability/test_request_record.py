"""Request ids and the statements of a request."""

from __future__ import annotations

from uuid import UUID

import pytest

from muniment.observability.request_record import RequestRecord, request_id_from


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
    ("counts", "chatty"),
    [
        ({}, False),
        ({"a": 4}, False),
        ({"a": 5}, True),
        ({"a": 4, "b": 4}, False),
        ({str(number): 1 for number in range(10)}, False),
        ({str(number): 1 for number in range(11)}, True),
    ],
)
def test_many_statements_are_suspicious(counts: dict[str, int], *, chatty: bool) -> None:
    record = RequestRecord("x")
    for name, times in counts.items():
        for _ in range(times):
            record.count_statement(name)
    assert record.is_chatty is chatty
