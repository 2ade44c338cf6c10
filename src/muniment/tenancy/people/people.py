"""What sign-up, sign-in and password resets work with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from muniment.cache.limits import RateLimiter
from muniment.db import Database
from muniment.settings import Settings
from muniment.tenancy.people.after_answer import AfterAnswer
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.people.passwords import Passwords
from muniment.tenancy.people.purging import purging
from muniment.tenancy.people.sessions import SessionTerms
from muniment.tenancy.people.throttle import Throttle


@dataclass(frozen=True, slots=True)
class People:
    """One for a process; `open_people` makes it."""

    database: Database
    settings: Settings
    terms: SessionTerms
    mailer: Mailer
    passwords: Passwords
    throttle: Throttle
    after_answer: AfterAnswer


@asynccontextmanager
async def open_people(
    database: Database, settings: Settings, secret: bytes, limiter: RateLimiter, mailer: Mailer
) -> AsyncIterator[People]:
    """Open what people sign in with; work that nobody waits for is finished at the end.

    Args:
        database: the pools of this process, open for as long.
        settings: of this process.
        secret: of the installation.
        limiter: that counts attempts.
        mailer: that sends links.
    """
    after_answer = AfterAnswer()
    terms = SessionTerms.of(settings, secret)
    with Passwords() as passwords:
        async with purging(database, terms):
            try:
                yield People(
                    database,
                    settings,
                    terms,
                    mailer,
                    passwords,
                    Throttle(limiter, settings),
                    after_answer,
                )
            finally:
                await after_answer.finish()
