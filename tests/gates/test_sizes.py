"""The size gate finds what is too long and nothing else."""

from pathlib import Path

from tools.gates import sizes


def write(project: Path, name: str, text: str) -> None:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(project: Path) -> list[str]:
    return list(sizes.faults(sizes.source_files(project), project))


def function_of(lines: int) -> str:
    return "def work():\n" + "    x = 1\n" * (lines - 1)


def test_finds_a_long_file(tmp_path: Path) -> None:
    write(tmp_path, "src/package/long.py", "x = 1\n" * 401)
    write(tmp_path, "src/package/fits.py", "x = 1\n" * 400)
    assert found(tmp_path) == ["src/package/long.py:1: 401 lines, at most 400 are allowed"]


def test_finds_long_sql(tmp_path: Path) -> None:
    write(tmp_path, "src/package/queries.sql", "SELECT 1;\n" * 401)
    assert len(found(tmp_path)) == 1


def test_finds_a_long_function(tmp_path: Path) -> None:
    write(tmp_path, "tests/test_long.py", function_of(61))
    write(tmp_path, "tests/test_fits.py", function_of(60))
    assert found(tmp_path) == ["tests/test_long.py:1: work has 61 lines, at most 60"]


def test_finds_a_long_method(tmp_path: Path) -> None:
    body = "    async def run(self):\n" + "        x = 1\n" * 60
    write(tmp_path, "src/package/room.py", "class Room:\n" + body)
    assert found(tmp_path) == ["src/package/room.py:2: run has 61 lines, at most 60"]


def test_does_not_count_decorators(tmp_path: Path) -> None:
    write(tmp_path, "src/package/room.py", "@cache\n" * 10 + function_of(60))
    assert found(tmp_path) == []


def test_has_no_exceptions() -> None:
    assert frozenset() == sizes.EXCEPTIONS
