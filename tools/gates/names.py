"""Keep names telling: no junk drawers among the files, one word for one thing in the code."""

import re
from collections.abc import Iterator
from pathlib import Path

from tools.gates.report import PROJECT, close

JUNK_DRAWERS = (
    *("common", "helper", "helpers", "manager", "managers"),
    *("misc", "service", "util", "utilities", "utils"),
)
SYNONYMS = {
    "tenant_id": "org_id",
    "connector_config": "source",
    "knowledge_base": "workspace",
    "collection_id": "workspace_id",
}
"""Words for which the product has another (docs/index.md)."""

_SYNONYM = re.compile(r"\b(" + "|".join(SYNONYMS) + r")\b")


def faults(package: Path) -> Iterator[str]:
    """Yield a sentence for each file or word of a package that has a better name."""
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package.parent).as_posix()
        if path.stem in JUNK_DRAWERS:
            yield f"{name}:1: name it after what it does, not {path.stem}"
        if path.suffix in (".py", ".sql"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for word in _SYNONYM.findall(line):
                    yield f"{name}:{number}: the word for {word} is {SYNONYMS[word]}"


if __name__ == "__main__":
    close("Name gate", "src/muniment", list(faults(PROJECT / "src" / "muniment")))
