"""Read docs/findings.md: where each fault that audits found elsewhere is proven absent here."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXPECTED = tuple(f"F{number}" for number in range(1, 71))

_ROW = re.compile(r"^\| (F\d+) \|(?P<holds>[^|]*)\|(?P<proof>[^|]*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::([\w:]+))?`")
_FILE = re.compile(r"`((?:benchmarks|src|tools|docs)/[\w/.-]+)`")
_PLANNED = re.compile(r"planned: (issue \d+|a later issue)")


@dataclass(frozen=True)
class Finding:
    """One row: the id, what holds here, and the text that says where it is proven."""

    name: str
    holds: str
    proof: str


def parse(text: str) -> list[Finding]:
    """Return the rows of the page, in its order."""
    return [
        Finding(match[1], match["holds"].strip(), match["proof"].strip())
        for match in _ROW.finditer(text)
    ]


def faults(text: str, project: Path) -> Iterator[str]:
    """Yield a sentence for each finding that is missing, unproven, or proven by nothing real."""
    rows = parse(text)
    names = [row.name for row in rows]
    if names != list(EXPECTED):
        missing = sorted(set(EXPECTED) - set(names), key=lambda name: int(name[1:]))
        yield f"the page lists {len(names)} findings, not F1 to F70 in order; missing: {missing}"
    for row in rows:
        tests, files = _TEST.findall(row.proof), _FILE.findall(row.proof)
        if not row.holds:
            yield f"{row.name} does not say what holds here"
        if not (tests or files or _PLANNED.search(row.proof)):
            yield f"{row.name} names neither a test nor the issue that will prove it"
        for path, test in tests:
            if not _exists(project / path, test):
                yield f"{row.name} names {path}::{test}, which is not there"
        for path in files:
            if not (project / path).exists():
                yield f"{row.name} names {path}, which is not there"


def _exists(path: Path, test: str) -> bool:
    if not path.is_file():
        return False
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in filter(None, test.split("::")):
        for node in body:
            kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            if isinstance(node, kinds) and node.name == name:
                body = node.body
                break
        else:
            return False
    return True
