"""Every error as `application/problem+json` (RFC 9457), with a stable code and nothing secret."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import structlog
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.response import Response

from muniment.db.errors import DatabaseUnavailable
from muniment.errors import (
    InvalidRequest,
    MunimentError,
    NotFound,
    ServiceUnavailable,
    ValidationFailed,
)
from muniment.observability.request_observer import record_of

if TYPE_CHECKING:
    from litestar import Request

    from muniment.observability.request_record import RequestRecord

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger()


class MethodNotAllowed(MunimentError):
    """This address does not take this method; the header `Allow` lists those that it takes."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class BodyTooLarge(MunimentError):
    """The request's body is larger than this address takes."""

    code = "body_too_large"
    status = 413
    title = "Body too large"


class UnsupportedMediaType(MunimentError):
    """The request's body is of a type that this address does not take."""

    code = "unsupported_media_type"
    status = 415
    title = "Unsupported media type"


class RequestRefused(MunimentError):
    """The request was refused."""

    code = "request_refused"
    status = 400
    title = "Request refused"


class StatementTimedOut(ServiceUnavailable):
    """The database took too long to answer; narrow the request or try again shortly."""

    code = "statement_timed_out"


class TransactionConflict(ServiceUnavailable):
    """Another request changed the same things at the same moment; try again."""

    code = "transaction_conflict"


_CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
)
_UNSTORABLE = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.DatetimeFieldOverflowError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.UntranslatableCharacterError,
)
_UNFORESEEN = HTTPStatus.INTERNAL_SERVER_ERROR
_RETRY_SECONDS = 1.0
"""Told with a 503 that does not know better."""


def problem_response(request: Request[Any, Any, Any], raised: Exception) -> Response[bytes]:
    """Answer a request that raised: the one exception handler of the application."""
    error, headers = _translate(raised)
    record = record_of(request.scope)
    if error.status >= _UNFORESEEN:
        if error.status == _UNFORESEEN:
            _log.error("request_failed", code=error.code, exc_info=raised)
        else:
            _log.warning("request_refused", code=error.code, reason=str(raised.__cause__ or raised))
    return Response(
        problem_body(error, record),
        status_code=error.status,
        headers=headers | _headers(error),
        media_type=MEDIA_TYPE,
    )


def crash_response(record: RequestRecord) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Answer a request that failed outside of the application's own error handling."""
    body = problem_body(MunimentError(), record)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    return MunimentError.status, headers, body


def problem_body(error: MunimentError, record: RequestRecord) -> bytes:
    """Return the JSON of a problem, and note its code in the request's record."""
    record.problem_code = error.code
    problem: dict[str, Any] = {
        "type": f"/docs#problem-{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": _public_detail(error),
        "code": error.code,
        "request_id": record.request_id,
        "errors": error.errors,
    }
    checks = getattr(error, "checks", None)
    if checks is not None:
        problem["checks"] = checks
    return msgspec.json.encode(problem)


def known_problems() -> list[type[MunimentError]]:
    """Return every error that a caller may be told, by status and code.

    Errors with status 500 are told apart in our logs only.
    """
    by_code = {
        error.code: error for error in _subclasses(MunimentError) if error.status != _UNFORESEEN
    }
    by_code[MunimentError.code] = MunimentError
    return sorted(by_code.values(), key=lambda error: (error.status, error.code))


def _subclasses(parent: type[MunimentError]) -> Iterator[type[MunimentError]]:
    for child in parent.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from _subclasses(child)


def _translate(raised: Exception) -> tuple[MunimentError, dict[str, str]]:
    """Return what to tell the caller about an exception, and headers that go with it."""
    if isinstance(raised, ExceptionGroup):
        # Ending the transaction failed after the handler had: what the handler said counts,
        # unless it cannot be told, as after the loss of the connection.
        first = raised.__cause__ if isinstance(raised.__cause__, Exception) else raised
        for one in (first, *raised.exceptions):
            if one is not raised and (told := _translate(one))[0].status != _UNFORESEEN:
                return told
        return MunimentError(), {}
    if isinstance(raised, MunimentError):
        return raised, {}
    if isinstance(raised, HTTPException):
        return _from_http_exception(raised)
    if isinstance(raised, RecursionError) and "deserializing" in str(raised):
        return InvalidRequest("The body is nested too deeply."), {}
    return _from_database(raised) or MunimentError(), {}


def _from_database(raised: Exception) -> MunimentError | None:
    if isinstance(raised, asyncpg.QueryCanceledError):
        return StatementTimedOut()
    if isinstance(raised, _CONFLICTS):
        return TransactionConflict()
    if isinstance(raised, asyncpg.TooManyConnectionsError):
        return ServiceUnavailable()
    if isinstance(raised, (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)):
        return DatabaseUnavailable()
    if isinstance(raised, _UNSTORABLE):
        return ValidationFailed("A value holds characters or a magnitude that cannot be stored.")
    return None


def _from_http_exception(raised: HTTPException) -> tuple[MunimentError, dict[str, str]]:
    status = raised.status_code
    headers = dict(raised.headers or {})
    error: MunimentError
    if isinstance(raised, ValidationException):
        error = _from_validation(raised)
    elif isinstance(raised, NotFoundException):
        error = NotFound("There is nothing at this address.")
    elif isinstance(raised, MethodNotAllowedException):
        error = MethodNotAllowed()
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        error = BodyTooLarge()
    elif isinstance(raised, InternalServerException) and "disconnected" in raised.detail:
        error = InvalidRequest("The connection closed before the whole body had arrived.")
    elif status == HTTPStatus.BAD_REQUEST:
        error = InvalidRequest(f"The request cannot be read: {raised.detail}")
    elif HTTPStatus.BAD_REQUEST < status < _UNFORESEEN:
        error = RequestRefused(raised.detail)
    else:
        error = MunimentError()
    return error, headers


def _from_validation(raised: ValidationException) -> MunimentError:
    faults = [fault for fault in (raised.extra or []) if isinstance(fault, dict)]
    if not faults:
        return InvalidRequest(raised.detail)
    if any(fault.get("key") == "data" and "source" in fault and _absent(fault) for fault in faults):
        return InvalidRequest("This needs a JSON body, and the request has none.")
    return ValidationFailed(errors=[_fault(fault) for fault in faults])


def _absent(fault: dict[str, Any]) -> bool:
    # The framework reports a missing argument by the name that it looked for.
    return str(fault.get("message")) == f"'{fault.get('key')}'"


def _fault(fault: dict[str, Any]) -> dict[str, str]:
    """Turn one of the framework's payload faults into ours: where it is, and what it is."""
    key = str(fault.get("key", ""))
    detail = "This is required." if _absent(fault) else str(fault.get("message", ""))
    source = str(getattr(fault.get("source"), "value", fault.get("source") or "query"))
    if source == "body":
        return {"pointer": _pointer("" if key == "data" else key), "detail": detail}
    return {source if source in {"header", "cookie"} else "parameter": key, "detail": detail}


def _pointer(path: str) -> str:
    """Return a JSON pointer as a URI fragment: ``filters.ids[0]`` is ``#/filters/ids/0``."""
    parts = re.findall(r"[^.\[\]]+", path.replace("[...]", ""))
    return "#" + "".join(f"/{part}" for part in parts)


def _public_detail(error: MunimentError) -> str:
    """Return what may be told: the reason of a failure of ours names hosts, roles and paths."""
    if error.status == _UNFORESEEN:
        return "Something went wrong here; the log has the reason under this request's id."
    if isinstance(error, DatabaseUnavailable):
        return inspect.getdoc(type(error)) or error.title
    return error.detail


def _headers(error: MunimentError) -> dict[str, str]:
    headers = dict(error.headers)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    retry_after = error.retry_after
    if retry_after is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = _RETRY_SECONDS
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return headers
