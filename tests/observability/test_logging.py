"""Log lines: one format for ours and for those of libraries, and no secrets."""

from __future__ import annotations

import io
import json
import logging
from typing import Any, Literal

import pytest
import structlog

from muniment.observability.logging import configure_logging

KEY = "mun_abcdefghijklmnopqrstuvwxyz"


def written(
    log_format: Literal["pretty", "json"] = "json",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(log_format, level, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(secret: str) -> None:
    raise LookupError(f"{len(secret)} characters")


def test_ours_and_theirs_look_alike() -> None:
    stream = written()
    structlog.get_logger().info("searched", hits=3)
    logging.getLogger("a.library").warning("told %s", "something")
    ours, theirs = lines(stream)
    assert (ours["event"], ours["level"], ours["hits"]) == ("searched", "info", 3)
    assert (theirs["event"], theirs["level"]) == ("told something", "warning")
    assert ours["time"].endswith("Z")


def test_lines_carry_what_is_bound() -> None:
    stream = written()
    with structlog.contextvars.bound_contextvars(request_id="r"):
        structlog.get_logger().info("ours")
        logging.getLogger("a.library").warning("theirs")
    assert [line["request_id"] for line in lines(stream)] == ["r", "r"]


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_keys_are_masked_and_variables_are_not_shown(
    log_format: Literal["pretty", "json"],
) -> None:
    stream = written(log_format)
    log = structlog.get_logger()
    event = f"made {KEY}"
    log.info(event, key=KEY)
    logging.getLogger("a.library").warning("sent %s", KEY)
    try:
        fail("sword" + "fish")
    except LookupError:
        log.exception("failed")
        logging.getLogger("a.library").exception("failed as well")
    text = stream.getvalue()
    assert "mun_***" in text
    assert text.count("LookupError: 9 characters") == 2
    assert KEY not in text
    assert "swordfish" not in text


def test_level_holds_for_ours_and_theirs() -> None:
    stream = written(level="error")
    structlog.get_logger().warning("ours")
    logging.getLogger("a.library").warning("theirs")
    assert stream.getvalue() == ""


def test_configuring_again_replaces() -> None:
    first, second = written(), written()
    logging.getLogger("a.library").warning("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
