"""A commit ends when every process has heard of it, and nobody holds it up for long (F19, F23)."""

from __future__ import annotations

import asyncio
import signal
import time

from muniment.cache import open_cache
from muniment.cache.listener import LEASE_SECONDS
from muniment.cache.roll_call import RollCall
from muniment.db import Database, TenantScope
from tests.cache.neighbour import neighbour, rename
from tests.conftest import Clone

SOON_SECONDS = 1.0


def asked(roll: RollCall, *present: int) -> asyncio.Event:
    """Send a question to those who are present; the event tells that all have answered."""
    call = roll.soon()
    question = roll.begin()
    assert question == f"?{roll.asker} {call.number}"
    roll.present(set(present))
    return call.ended


def test_a_question_ends_when_all_have_answered() -> None:
    roll = RollCall()
    first, second = asked(roll, 1, 2), asked(roll, 1, 2)
    roll.answer(1, 2)
    roll.answer(2, 1)
    assert first.is_set()
    assert not second.is_set()
    roll.answer(2, 2)
    assert second.is_set()
    assert asked(roll).is_set(), "nobody else listens"


def test_an_answer_may_come_before_it_is_known_who_is_asked() -> None:
    roll = RollCall()
    call = roll.soon()
    roll.begin()
    roll.answer(1, call.number)
    roll.present({1})
    assert call.ended.is_set()


def test_who_asks_while_a_question_is_sent_waits_for_the_next() -> None:
    roll = RollCall()
    sent = roll.soon()
    roll.begin()
    later = roll.soon()
    roll.present({1})
    roll.answer(1, sent.number)
    assert sent.ended.is_set()
    assert not later.ended.is_set()
    assert roll.begin() is not None


def test_nobody_waits_for_who_has_gone() -> None:
    roll = RollCall()
    ended = asked(roll, 1)
    asked(roll)
    assert ended.is_set()


def test_who_joins_behind_a_question_need_not_answer_it() -> None:
    roll = RollCall()
    before, behind = asked(roll, 1), asked(roll, 1)
    assert roll.asked(f"?{roll.asker} 1") is False
    roll.joined(1)
    assert before.is_set()
    assert not behind.is_set(), "that question has not come back, so the other will hear it"


def test_questions_of_others_are_answered_once_and_up_to_the_last() -> None:
    roll = RollCall()
    assert roll.asked("?other 1") is True
    assert roll.asked("?other 2") is True
    assert roll.owed() == {"other": "2"}
    assert roll.owed() == {}


async def test_who_is_silent_is_waited_for_once() -> None:
    roll, hurry = RollCall(), asyncio.Event()
    waiting = asyncio.create_task(roll.wait(hurry, 0.05))
    await hurry.wait()
    roll.begin()
    roll.present({1})
    await waiting
    assert asked(roll, 1).is_set()
    roll.answer(1, 1)
    assert not asked(roll, 1).is_set(), "it has spoken again"


async def test_a_frozen_process_holds_up_one_commit_for_a_lease(
    database: Database, scope: TenantScope, clone: Clone
) -> None:
    target = clone.installation
    async with (
        open_cache(database) as cache,
        neighbour(target.app_dsn, target.operator_dsn, scope) as other,
    ):
        assert await cache.wait_until_listening(10)
        assert await other.ask("read") == "Ours"
        other.process.send_signal(signal.SIGSTOP)
        try:
            assert await seconds_of_rename(database, scope, "second") >= LEASE_SECONDS - 0.01
            assert await seconds_of_rename(database, scope, "third") < SOON_SECONDS
        finally:
            other.process.send_signal(signal.SIGCONT)
        assert await other.ask("read") == "third"


async def test_a_process_that_was_killed_holds_up_nobody(
    database: Database, scope: TenantScope, clone: Clone
) -> None:
    target = clone.installation
    async with (
        open_cache(database) as cache,
        neighbour(target.app_dsn, target.operator_dsn, scope) as other,
    ):
        assert await cache.wait_until_listening(10)
        other.process.kill()
        for number in range(5):
            assert await seconds_of_rename(database, scope, f"name {number}") < SOON_SECONDS
        await other.process.wait()


async def seconds_of_rename(database: Database, scope: TenantScope, name: str) -> float:
    began = time.monotonic()
    await rename(database, scope, name)
    return time.monotonic() - began
