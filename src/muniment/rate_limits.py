"""Inbound limits over HTTP: who is held to what, and the headers that tell callers.

The headers are those of draft-ietf-httpapi-ratelimit-headers-11: `RateLimit-Policy` lists the
limits of a request, `RateLimit` says how many requests (`r`) remain for how many seconds (`t`)
under the one that is nearest to its end. `Retry-After` is never earlier than `t`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from uuid import UUID

from muniment.cache.errors import RateLimited
from muniment.cache.limits import Rate, RateLimiter, Verdict
from muniment.cache.limits_address import network_of
from muniment.db import OrgId, UserId
from muniment.settings import Settings

ADDRESS_SECONDS = 900.0
REQUESTS_PER_ATTEMPT = 10
"""What an address may ask without signing in, for each attempt that it may fail: pages around
a sign-in, a sign-in that succeeds, and the other people behind the same address."""

PERSON_PER_MINUTE = 120
"""What a person may ask of their own account, whatever organization they work in."""

Headers = list[tuple[bytes, bytes]]

_MINUTE = 60.0
_WORDS = {
    "organization": "The organization",
    "key": "This API key",
    "person": "Your account",
    "address": "This address",
}


class InboundLimits:
    """Holds organizations, keys and addresses to their number of requests."""

    def __init__(self, limiter: RateLimiter, settings: Settings) -> None:
        """Count with `limiter`; `settings` say what one address may do."""
        self._limiter = limiter
        attempts = settings.sign_in_attempts_per_address
        self._of_address = Rate(attempts * REQUESTS_PER_ATTEMPT, per=ADDRESS_SECONDS)

    async def admit_tenant(
        self,
        org_id: OrgId,
        requests_per_minute: int,
        api_key_id: UUID | None,
        key_requests_per_minute: int | None,
    ) -> Headers:
        """Count a request of an organization, and of the key if that has a limit of its own.

        A request that one of the two refuses counts for neither. Returns the headers that tell
        what is left.

        Raises:
            RateLimited: the organization or the key has used up its requests.
        """
        subject = org_id.hex
        claims = [("organization", subject, Rate(requests_per_minute, per=_MINUTE))]
        if api_key_id is not None and key_requests_per_minute is not None:
            claims.append(("key", api_key_id.hex, Rate(key_requests_per_minute, per=_MINUTE)))
        return self._admit(claims, await self._limiter.check_all(subject, claims))

    async def admit_person(self, user_id: UserId) -> Headers:
        """Count a request of a person on their own account; returns headers as `admit_tenant`.

        Raises:
            RateLimited: the person has used up their requests.
        """
        claims = [("person", user_id.hex, Rate(PERSON_PER_MINUTE, per=_MINUTE))]
        return self._admit(claims, await self._limiter.check_all(claims[0][1], claims))

    async def admit_address(self, address: str | None) -> Headers:
        """Count a request of somebody who is not signed in; returns headers as `admit_tenant`.

        This holds off floods only. Failed attempts to sign in are counted where they happen, up
        to a much lower number. Where Redis does not answer, this process counts by itself.

        Raises:
            RateLimited: too many requests came from this address or its IPv6 network.
        """
        claims = [("address", network_of(address), self._of_address)]
        verdicts = await self._limiter.check_all(claims[0][1], claims, guard=True)
        return self._admit(claims, verdicts)

    def _admit(
        self, claims: Sequence[tuple[str, str, Rate]], verdicts: Sequence[Verdict]
    ) -> Headers:
        kinds = [kind for kind, _, _ in claims]
        told = list(zip(kinds, verdicts, strict=True))
        headers = _headers(told)
        refused = [(kind, verdict) for kind, verdict in told if not verdict.allowed]
        if not refused:
            return [(name.encode(), value.encode()) for name, value in headers]
        # All of them have to admit the next attempt.
        kind, verdict = max(refused, key=lambda one: one[1].retry_after)
        seconds = max(1, math.ceil(verdict.retry_after))
        error = RateLimited(
            f"{_WORDS[kind]} may make {verdict.limit} requests in {verdict.per:g} seconds; "
            f"try again in {seconds} s.",
            retry_after=seconds,
        )
        error.headers += headers
        raise error


def _headers(told: Sequence[tuple[str, Verdict]]) -> list[tuple[str, str]]:
    policies = ", ".join(
        f'"{kind}";q={verdict.limit};w={math.ceil(verdict.per)}' for kind, verdict in told
    )
    headers = [("RateLimit-Policy", policies)]
    # Nobody knows what is left when Redis did not say.
    if all(verdict.counted for _, verdict in told):
        kind, tightest = min(told, key=lambda one: (one[1].remaining, -one[1].reset_after))
        window = math.ceil(tightest.reset_after)
        headers.append(("RateLimit", f'"{kind}";r={tightest.remaining};t={window}'))
    return headers
