"""What is imported is declared, and what is declared is used."""

from importlib.metadata import packages_distributions
from pathlib import Path

from tools.gates.dependencies import faults
from tools.gates.report import PROJECT

PYPROJECT = """
[project]
name = "room"
dependencies = ["PyYAML>=6", "httpx[http2]>=1; python_version > '3'", "plain_data==1"]
[project.optional-dependencies]
scans = ["room[more]", "reader"]
dev = ["pytest"]
"""
DISTRIBUTIONS = {"yaml": ["PyYAML"], "reader": ["reader"], "pytest": ["pytest"]}


def package(folder: Path, text: str) -> Path:
    room = folder / "room"
    room.mkdir()
    (room / "work.py").write_text(text)
    return room


def test_the_project_declares_what_it_imports() -> None:
    found = faults(
        PROJECT / "src" / "muniment",
        (PROJECT / "pyproject.toml").read_text(),
        packages_distributions(),
    )
    assert list(found) == []


def test_accepts_declared_imports(tmp_path: Path) -> None:
    text = 'import os, yaml\nfrom httpx import get\nfrom room.x import y\nX = "plain_data"\n'
    room = package(tmp_path, text + "def read():\n    import reader\n")
    assert list(faults(room, PYPROJECT, DISTRIBUTIONS)) == []


def test_finds_an_undeclared_import(tmp_path: Path) -> None:
    room = package(tmp_path, 'import yaml, httpx, pytest\nX = "plain_data"\n')
    assert list(faults(room, PYPROJECT, DISTRIBUTIONS)) == [
        "work.py imports pytest, which pyproject.toml does not name"
    ]


def test_finds_a_dependency_that_nothing_imports(tmp_path: Path) -> None:
    room = package(tmp_path, "import yaml, httpx\n")
    assert list(faults(room, PYPROJECT, DISTRIBUTIONS)) == [
        "pyproject.toml names plain-data, which nothing imports"
    ]
