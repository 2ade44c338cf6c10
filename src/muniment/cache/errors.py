"""What a limit tells who reached it."""

from __future__ import annotations

from muniment.errors import MunimentError


class RateLimited(MunimentError):
    """Too many requests came in too short a time; `Retry-After` says when to go on."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"
