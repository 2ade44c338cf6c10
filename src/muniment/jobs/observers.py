"""What a worker tells others of its attempts: metrics, traces, objectives."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from muniment.jobs.claim import Claim

Ending = Literal["succeeded", "failed", "cancelled", "retried", "released", "lost"]
"""How an attempt ended. `released`: given back unblamed; `lost`: another worker has the job."""


class JobObserver(Protocol):
    """Looks at the attempts of a worker; what it raises would end the attempt."""

    def attempt(self, claim: Claim) -> AbstractContextManager[None]:
        """Surround the handler of an attempt, within its asyncio task."""
        ...

    def ended(self, claim: Claim, ending: Ending, seconds: float, code: str | None) -> None:
        """Take note of the end of an attempt that ran so long; `code` is that of its error."""
        ...
