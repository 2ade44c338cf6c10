"""Wait until every process has heard what was committed, before whoever asked for it is answered.

Postgres wakes the listeners one by one, so that our own has heard a commit says nothing of the
others. They are asked: a question goes through the stream of announcements, behind those of the
commit, and each process that hears it answers over a channel of the asker's own. Who has to
answer is known from the server, which knows all connections that listen. A process that says
nothing for as long as a lease lasts does not trust its caches any more, so nobody waits longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

QUESTION = "?"
"""Questions begin with it; they hold the asker and a number."""
_AGAIN_SECONDS = 0.1
"""After so long it is looked at once more who is still there."""


@dataclass(slots=True)
class Call:
    """One question, and who has not answered it."""

    number: int
    missing: set[int] | None = None
    """Server processes of those connections; None while that is not known yet."""
    answered: set[int] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def keep(self, pids: set[int]) -> None:
        """Wait for nobody but these, as far as they did not answer."""
        self.missing = (pids if self.missing is None else self.missing & pids) - self.answered
        if not self.missing:
            self.ended.set()

    def hear(self, pid: int) -> None:
        """Note an answer."""
        self.answered.add(pid)
        if self.missing is not None:
            self.keep(self.missing)


class RollCall:
    """The questions of this process, and the answers that it owes to others."""

    def __init__(self) -> None:
        self.asker = uuid4().hex
        """What this process is called in questions."""
        self._number = 0
        self._echoed = 0
        """The last of our questions that came back."""
        self._next: Call | None = None
        self._sent: list[Call] = []
        self._silent: set[int] = set()
        """Those who let a whole lease pass; they are not waited for until they answer."""
        self._owed: dict[str, str] = {}

    def soon(self) -> Call:
        """Return the question that is sent next, for all who ask until then."""
        if self._next is None:
            self._number += 1
            self._next = Call(self._number)
        return self._next

    def begin(self) -> str | None:
        """Return the question that is to be sent now, if anybody waits for one."""
        if self._next is None:
            return None
        call, self._next = self._next, None
        self._sent.append(call)
        return f"{QUESTION}{self.asker} {call.number}"

    def present(self, pids: set[int]) -> None:
        """Note who listened when the last question was sent."""
        self._silent &= pids
        self._each(lambda call: call.keep(pids - self._silent))

    def answer(self, pid: int, number: int) -> None:
        """Note that a process has heard a question, and those before it."""
        self._silent.discard(pid)
        self._each(lambda call: call.hear(pid) if call.number <= number else None)

    def joined(self, pid: int) -> None:
        """Note that a process began to listen, behind our questions that came back by now.

        It may have missed them, but has nothing cached from before them. Others it will answer.
        """
        self.answer(pid, self._echoed)

    def _each(self, note: Callable[[Call], None]) -> None:
        for call in self._sent:
            note(call)
        self._sent = [call for call in self._sent if not call.ended.is_set()]

    def asked(self, question: str) -> bool:
        """Note a question of the stream; tell whether it is another process's."""
        asker, _, number = question.removeprefix(QUESTION).partition(" ")
        if asker == self.asker:
            self._echoed = int(number)
            return False
        self._owed[asker] = number
        return True

    def owed(self) -> dict[str, str]:
        """Return whom to answer up to which question, and owe nothing any more."""
        owed, self._owed = self._owed, {}
        return owed

    def reset(self) -> None:
        """Let nobody wait: the connection that would hear the answers is gone."""
        waiting = [*self._sent, *([] if self._next is None else [self._next])]
        self._sent, self._next = [], None
        self._silent.clear()
        for call in waiting:
            call.ended.set()

    async def wait(self, hurry: asyncio.Event, seconds: float) -> None:
        """Wait until everybody has heard what was announced before.

        Args:
            hurry: makes the connection send what is due.
            seconds: after which those who did not answer are given up.
        """
        call = self.soon()
        until = monotonic() + seconds
        hurry.set()
        while not call.ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS):
                    await call.ended.wait()
            if monotonic() >= until:
                self._silent |= call.missing or set()
                call.ended.set()
            elif not call.ended.is_set():
                self.soon()
                hurry.set()
