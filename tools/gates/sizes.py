"""Keep rooms small: a file stays within 400 lines and a function within 60."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.gates.report import PROJECT, close

FILE_LINES = 400
FUNCTION_LINES = 60
FOLDERS = ("src", "tests", "tools", "benchmarks")

EXCEPTIONS: frozenset[str] = frozenset()
"""Paths that may be longer. It is empty, and a test keeps it so: split by verb instead."""


def source_files(project: Path) -> Iterator[Path]:
    """Yield the Python and SQL files that people write and read."""
    for folder in FOLDERS:
        for pattern in ("*.py", "*.sql"):
            yield from sorted((project / folder).rglob(pattern))


def long_functions(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield line, name and length of each function that is too long.

    The length is counted from `def` to the last line of the body, docstring included;
    decorators are not counted, since a route or a command line is declared in them.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield node.lineno, node.name, length


def faults(files: Iterable[Path], project: Path) -> Iterator[str]:
    """Yield a sentence for each file or function that is too long."""
    for path in files:
        name = path.relative_to(project).as_posix()
        if name in EXCEPTIONS:
            continue
        text = path.read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > FILE_LINES:
            yield f"{name}:1: {lines} lines, at most {FILE_LINES} are allowed"
        if path.suffix == ".py":
            for line, function, length in long_functions(text):
                yield f"{name}:{line}: {function} has {length} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    found = list(source_files(PROJECT))
    close("Size gate", f"{len(found)} files", list(faults(found, PROJECT)))
