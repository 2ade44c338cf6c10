"""Why an operator is not let in."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class MissingOperatorKey(MunimentError):
    """Send an operator key: `Authorization: Bearer muo_…`."""

    code = "missing_operator_key"
    status = 401
    title = "Unauthorized"


class InvalidOperatorKey(MunimentError):
    """This operator key is not known, was revoked, or has expired."""

    code = "invalid_operator_key"
    status = 401
    title = "Unauthorized"


class OperatorKeyNotFound(NotFound):
    """There is no such operator key, or it is revoked already."""

    code = "operator_key_not_found"
