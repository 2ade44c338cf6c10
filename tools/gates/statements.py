"""Keep SQL named, described and bounded.

Statements live in a room's `queries.sql`. Each has a name that metrics, slow log and plan
guards use, and a line that says what it is for. One that returns several rows says how many
at most: by a limit, by the list of keys it was given, or, where the data itself bounds it,
in a description that begins a sentence with "Bounded by". SQL inside Python code has none of
these, so only the room that runs migrations and transactions may hold it.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from aiosql.query_loader import QueryLoader
from aiosql.types import QueryDatum, SQLOperationType
from aiosql.utils import SQLParseException

from tools.gates.report import PROJECT, close

HOLDS_SQL = re.compile(r"muniment/(db/|.*/checks(\.py|/))")
"""Where Python code may hold SQL: it opens transactions, creates roles and runs migrations, or it
tells the operator what to run (the remedies of the doctor)."""

_STARTS_LIKE_SQL = re.compile(
    r"\s*(SELECT\s|select\s[^.!?]*\sfrom\s"
    r"|(?i:insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s*\())"
)
"""A sentence for people may begin with "Select" too, so the case of that word decides."""
_SELECTS_ALL = re.compile(r"\bselect\s+(distinct\s+)?(\w+\.)?\*", re.IGNORECASE)
_READS = re.compile(r"\s*(select|with|table|values)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(insert\s+into|update|delete\s+from)\b", re.IGNORECASE)
_BOUNDED = re.compile(
    r"\blimit\b|\bfetch\s+first\b|=\s*any\s*\(|\bunnest\s*\(|\bgroup\s+by\b|\bgenerate_series\b",
    re.IGNORECASE,
)


class _PlainText:
    """The part of an aiosql driver adapter that parsing needs: it leaves SQL as it is."""

    is_aio_driver = False

    def process_sql(self, _name: str, _operation: Any, sql: str) -> str:
        return sql


def parse(text: str) -> list[QueryDatum]:
    """Return the statements of a file.

    Raises:
        SQLParseException: a name is malformed or a statement is empty.
    """
    adapter: Any = _PlainText()
    loader = QueryLoader(adapter, None, mandatory_parameters=False)
    return loader.load_query_data_from_sql(text, [])


def faults_in_statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and fault of each statement of a `queries.sql`."""
    try:
        statements = parse(text)
    except SQLParseException as error:
        yield 1, f"cannot be read: {error}"
        return
    if not statements:
        yield 1, "holds no statement"
    names: set[str] = set()
    for statement in statements:
        line, name = statement.floc[1], statement.query_name
        if name in names:
            yield line, f"{name} is there twice"
        names.add(name)
        if not statement.doc_comments.strip():
            yield line, f"{name} has no line that says what it is for"
        if _SELECTS_ALL.search(statement.sql):
            yield line, f"{name} selects all columns: list the ones it needs"
        if _is_unbounded(statement):
            yield line, f"{name} may return any number of rows: give it a limit"


def _is_unbounded(statement: QueryDatum) -> bool:
    if statement.operation_type is not SQLOperationType.SELECT:
        return False
    if not _READS.match(statement.sql) or _WRITES.search(statement.sql):
        return False  # what a write returns is bounded by what it wrote
    return not (_BOUNDED.search(statement.sql) or "Bounded by" in statement.doc_comments)


def faults_in_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and fault of each string in Python code that is an SQL statement."""
    tree = ast.parse(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        if isinstance(node.value, str) and _STARTS_LIKE_SQL.match(node.value):
            yield node.lineno, "an SQL statement without a name: move it to queries.sql"


def main() -> None:
    """Check every statement of the package."""
    source = PROJECT / "src"
    faults: list[str] = []
    files = sorted(source.rglob("queries.sql"))
    for path in files:
        name = path.relative_to(PROJECT).as_posix()
        found = faults_in_statements(path.read_text(encoding="utf-8"))
        faults += [f"{name}:{line}: {fault}" for line, fault in found]
    for path in sorted(source.rglob("*.py")):
        if HOLDS_SQL.match(path.relative_to(source).as_posix()):
            continue
        found = faults_in_code(path.read_text(encoding="utf-8"))
        name = path.relative_to(PROJECT).as_posix()
        faults += [f"{name}:{line}: {fault}" for line, fault in found]
    close("Statement gate", f"{len(files)} files of statements", faults)


if __name__ == "__main__":
    main()
