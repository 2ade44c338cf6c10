"""A function that logs; by itself, for the library takes long to import."""

from __future__ import annotations

import logging

import structlog

from muniment.processes.reporter import Reporter
from tests.processes.functions import Numbers


def log(arguments: Numbers, report: Reporter) -> None:
    structlog.get_logger().info("counted", numbers=arguments.numbers, folder=arguments.folder)
    logging.getLogger("library").warning("careful with %s", "that")
    logging.getLogger("library").debug("not told")
    for number in range(5000):
        structlog.get_logger().info("line", number=number)
