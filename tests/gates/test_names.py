"""The name gate finds junk drawers and second words for one thing."""

from pathlib import Path

import pytest

from tools.gates.names import faults
from tools.gates.report import PROJECT


def test_the_project_has_telling_names() -> None:
    assert list(faults(PROJECT / "src" / "muniment")) == []


@pytest.mark.parametrize("name", ["utils.py", "service.py", "helpers/__init__.py"])
def test_finds_a_junk_drawer(tmp_path: Path, name: str) -> None:
    path = tmp_path / "room" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    assert len(list(faults(tmp_path / "room"))) == 1


def test_finds_a_second_word(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "queries.sql").write_text("-- name: a\nSELECT tenant_id FROM jobs LIMIT 1;\n")
    (room / "components.py").write_text("org_id = 1\n")
    assert list(faults(room)) == ["room/queries.sql:2: the word for tenant_id is org_id"]
