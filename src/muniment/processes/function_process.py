"""The process that runs one function, under a guardian, and is gone after it.

Run as `python -m muniment.processes.function_process MEMORY_BYTES`; frames of function_wire.py go
in on standard input and out on standard output, the guardian's verdict on standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, BinaryIO, get_type_hints

import msgspec

from muniment.errors import MunimentError
from muniment.processes.child import expendable, private_streams
from muniment.processes.frames import decoder, encoded, frame, read_frame
from muniment.processes.function_wire import (
    Call,
    Level,
    Logged,
    Raised,
    Reply,
    Reported,
    Returned,
    call_decoder,
)
from muniment.processes.guardian import fork_guarded

_REPORT_SECONDS = 0.1
_MOST_LOG_LINES = 1000
_LONGEST_TEXT = 2000
_LONGEST_STACK = 8000
_LEVELS: dict[str, Level] = {"critical": "error", "exception": "error", "warn": "warning"}


class _Answers:
    """Writes frames; functions may report and log from several threads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._reported_at = 0.0
        self._unsent: Reported | None = None
        self._lines_left = _MOST_LOG_LINES

    def report(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Send progress, at most ten times a second; the last is sent in any case."""
        with self._lock:
            self._unsent = Reported(done, total, unit)
            now = time.monotonic()
            if now - self._reported_at >= _REPORT_SECONDS:
                self._reported_at = now
                self._send_report()

    def log(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Send a log line, unless there were too many."""
        with self._lock:
            if self._lines_left == 0:
                return
            self._lines_left -= 1
            if self._lines_left == 0:
                level, event, fields = "warning", "further log lines are left out", {}
            short = {name: _short(value) for name, value in fields.items()}
            self._send(Logged(_level(level), event[:_LONGEST_TEXT], short))

    def end(self, reply: Returned | Raised) -> None:
        """Send the last frame."""
        with self._lock:
            self._send_report()
            self._send(reply)

    def _send_report(self) -> None:
        if self._unsent is not None:
            self._send(self._unsent)
            self._unsent = None

    def _send(self, reply: Reply) -> None:
        self._stream.write(frame(reply))
        self._stream.flush()


def _level(name: str) -> Level:
    known: dict[str, Level] = {
        "debug": "debug",
        "info": "info",
        "warning": "warning",
        "error": "error",
        **_LEVELS,
    }
    return known.get(name, "info")


def _short(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_LONGEST_TEXT]


class _Forward(logging.Handler):
    """Sends what libraries log."""

    def __init__(self, answers: _Answers) -> None:
        super().__init__(logging.INFO)
        self._answers = answers

    def emit(self, record: logging.LogRecord) -> None:
        self._answers.log(record.levelname.lower(), record.getMessage(), {"logger": record.name})


def _forward_logs(answers: _Answers) -> None:
    logging.getLogger().addHandler(_Forward(answers))
    logging.getLogger().setLevel(logging.INFO)
    if "structlog" not in sys.modules:
        return  # the function does not use it, and it takes long to import
    import structlog

    def forward(_logger: Any, method: str, event: Any) -> Any:
        told = event.pop("event", "")
        if event.pop("exc_info", None):
            event["stack"] = _stack(sys.exc_info()[1])
        answers.log(method, str(told), event)
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, forward],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def _function(call: Call) -> Callable[..., Any]:
    known = set(sys.path)
    sys.path.extend(folder for folder in call.path if folder not in known)
    found: Callable[..., Any] = attrgetter(call.name)(importlib.import_module(call.module))
    return found


def _raised(error: BaseException) -> Raised:
    ours = error if isinstance(error, MunimentError) else None
    return Raised(
        classes=[f"{each.__module__}:{each.__qualname__}" for each in type(error).__mro__],
        detail=_text(error)[:_LONGEST_TEXT],
        code=ours.code if ours else None,
        errors=ours.errors if ours else [],
        stack=_stack(error),
    )


def _text(error: BaseException) -> str:
    try:
        return str(error).encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001  # its own __str__ fails; the class still says something
        return ""


def _stack(error: BaseException | None) -> str:
    if error is None:
        return ""
    return "".join(traceback.format_tb(error.__traceback__))[-_LONGEST_STACK:]


def _run(requests: BinaryIO, answers: _Answers) -> None:
    try:
        call = call_decoder.decode(read_frame(requests))
        function = _function(call)
        _forward_logs(answers)
        accepted = next(iter(get_type_hints(function).values()))
        value = function(decoder(accepted).decode(call.arguments), answers.report)
        reply: Returned | Raised = Returned(msgspec.Raw(encoded(value)))
    except BaseException as error:  # noqa: BLE001  # the edge of the process: all is told
        reply = _raised(error)
    answers.end(reply)


def main() -> None:
    """Run the function of the first frame and answer."""
    expendable()
    printed = fork_guarded(int(sys.argv[1]))
    requests, replies = private_streams(printed)
    # Where a crash in native code happened goes to what was printed last.
    faulthandler.enable()
    _run(requests, _Answers(replies))
    # Nothing that the function has left behind may hold up the end.
    os._exit(0)


if __name__ == "__main__":
    main()
