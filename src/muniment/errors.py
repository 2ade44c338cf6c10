"""The one error base of the project and the codes that callers may rely on."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class MunimentError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal_error"
    """Stable, machine-readable name of the error; part of the public contract."""
    status: ClassVar[int] = 500
    """HTTP status at the boundary."""
    title: ClassVar[str] = "Internal error"
    """Short summary, the same for every occurrence (RFC 9457)."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: list[dict[str, Any]] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Take a sentence about this occurrence; the class docstring is the default.

        Args:
            detail: one or two sentences for the person who must act on it.
            errors: payload faults, each with ``pointer`` and ``detail``.
            retry_after: seconds after which trying again is sensible.
        """
        self.detail = detail or inspect.getdoc(type(self)) or self.title
        self.errors = errors or []
        self.retry_after = retry_after
        self.headers: list[tuple[str, str]] = []
        """Sent with the problem."""
        super().__init__(self.detail)


class InvalidRequest(MunimentError):
    """The request cannot be understood as it is."""

    code = "invalid_request"
    status = 400
    title = "Invalid request"


class ValidationFailed(MunimentError):
    """The request is well-formed but some of its values are not acceptable."""

    code = "validation_failed"
    status = 422
    title = "Validation failed"


class NotFound(MunimentError):
    """There is no such thing here."""

    code = "not_found"
    status = 404
    title = "Not found"


class ServiceUnavailable(MunimentError):
    """The service cannot answer at the moment; try again shortly."""

    code = "service_unavailable"
    status = 503
    title = "Service unavailable"
