"""How often one may try: against guessing passwords, and against flooding people with mail."""

from __future__ import annotations

from muniment.cache.limits import Rate, RateLimiter
from muniment.cache.limits_address import network_of
from muniment.settings import Settings
from muniment.tenancy.people.errors import TooManyAttempts
from muniment.tenancy.secrets import hash_of

_QUARTER_HOUR = 900
_ACCOUNT = "sign_in_account"
_ADDRESS = "sign_in_address"
_MAILS = "reset_mails"
MAILS = Rate(5, per=3600)
"""Links that one account is sent."""


class Throttle:
    """Counts attempts per account and per address, shared with other processes by the limiter.

    An account is counted whether it exists or not, so a refusal tells nothing. An attempt counts
    before it is tried, and is given back when it succeeds: many at once cannot slip through.
    Where Redis is away, this process counts by itself.
    """

    def __init__(self, limiter: RateLimiter, settings: Settings) -> None:
        """Count with `limiter` up to what the settings allow in 15 minutes."""
        self._limiter = limiter
        self._account = Rate(settings.sign_in_attempts_per_account, per=_QUARTER_HOUR)
        self._address = Rate(settings.sign_in_attempts_per_address, per=_QUARTER_HOUR)

    async def attempt_from(self, address: str | None) -> None:
        """Count an attempt of somebody who is not signed in.

        Raises:
            TooManyAttempts: there were too many from this address.
        """
        await self._count(_ADDRESS, network_of(address), self._address)

    async def attempt_on(self, email: str) -> None:
        """Count an attempt to prove to be the owner of an account.

        Raises:
            TooManyAttempts: there were too many on this account, from wherever.
        """
        await self._count(_ACCOUNT, _subject(email), self._account)

    async def mail_to(self, email: str) -> None:
        """Count a mail that somebody asked to be sent to an account.

        Raises:
            TooManyAttempts: the account was sent enough of them.
        """
        await self._count(_MAILS, _subject(email), MAILS)

    async def succeeded_from(self, address: str | None) -> None:
        """Take back what `attempt_from` counted."""
        await self._limiter.give_back(_ADDRESS, network_of(address), self._address, guard=True)

    async def succeeded_on(self, email: str) -> None:
        """Forget the failed attempts on an account: its owner is back."""
        await self._limiter.reset(_ACCOUNT, _subject(email), self._account)

    async def _count(self, kind: str, subject: str, rate: Rate) -> None:
        verdict = await self._limiter.check(kind, subject, rate, guard=True)
        if not verdict.allowed:
            raise TooManyAttempts(retry_after=verdict.retry_after)


def _subject(email: str) -> str:
    # Hashed, so that the address of somebody who failed to sign in is not kept in Redis.
    return hash_of(email).hex()
