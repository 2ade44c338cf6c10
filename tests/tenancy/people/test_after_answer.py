from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
from structlog.testing import capture_logs

from muniment.tenancy.people import after_answer as module
from muniment.tenancy.people.after_answer import AfterAnswer


async def test_work_is_done_beside_whoever_asked_for_it() -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def work(number: int) -> None:
        await go.wait()
        done.append(number)

    after_answer = AfterAnswer()
    for number in range(3):
        after_answer.start(work(number))
    assert done == []
    go.set()
    await after_answer.finish()
    assert done == [0, 1, 2]
    await after_answer.finish()


async def test_what_is_too_much_is_dropped_and_logged() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        done.append(number)

    after_answer = AfterAnswer(most=2)
    with capture_logs() as logs:
        for number in range(3):
            after_answer.start(work(number))
        await after_answer.finish()
    assert done == [0, 1]
    assert [line["event"] for line in logs] == ["work_after_answer_dropped"]


async def test_a_failure_is_logged_without_what_it_was_about() -> None:
    async def fail() -> None:
        raise RuntimeError("the link is https://example.com/#token=secret")

    after_answer = AfterAnswer()
    with capture_logs() as logs:
        after_answer.start(fail())
        await after_answer.finish()
    assert [line["event"] for line in logs] == ["work_after_answer_failed"]
    assert "secret" not in str(logs)


async def test_it_is_not_part_of_the_request() -> None:
    """Else its statements would count as the request's."""
    request: ContextVar[str | None] = ContextVar("request", default=None)
    request.set("a request")
    seen: list[str | None] = []

    async def look() -> None:
        seen.append(request.get())

    after_answer = AfterAnswer()
    after_answer.start(look())
    await after_answer.finish()
    assert seen == [None]


async def test_what_never_ends_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.01)
    after_answer = AfterAnswer()
    after_answer.start(asyncio.Event().wait())  # type: ignore[arg-type]
    await after_answer.finish()
    assert after_answer._tasks == set()
