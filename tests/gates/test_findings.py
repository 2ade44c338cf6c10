"""docs/findings.md lists each finding with a proof that exists."""

from pathlib import Path

import pytest

from tools.gates.findings import EXPECTED, faults
from tools.gates.report import PROJECT

HEAD = "| Id | What holds here | Where it is proven |\n| --- | --- | --- |\n"


def page(proof: str = "planned: issue 4") -> str:
    return HEAD + "".join(f"| {name} | It holds. | {proof} |\n" for name in EXPECTED)


def test_every_finding_has_a_proof_that_exists() -> None:
    text = (PROJECT / "docs" / "findings.md").read_text()
    assert list(faults(text, PROJECT)) == []


@pytest.mark.parametrize(
    "proof",
    [
        "planned: issue 4",
        "planned: a later issue",
        "`tests/jobs/test_lanes.py::test_starts`",
        "`tests/jobs/test_lanes.py::TestLanes::test_is_full`; `benchmarks/jobs.py`",
        "`tests/jobs/test_lanes.py`",
    ],
)
def test_accepts_a_proof(tmp_path: Path, proof: str) -> None:
    write_tests(tmp_path)
    assert list(faults(page(proof), tmp_path)) == []


@pytest.mark.parametrize(
    "proof",
    [
        "",
        "it just works",
        "planned",
        "`tests/jobs/test_gone.py::test_starts`",
        "`tests/jobs/test_lanes.py::test_gone`",
        "`tests/jobs/test_lanes.py::TestLanes::test_gone`",
        "`benchmarks/gone.py`",
    ],
)
def test_refuses_a_proof(tmp_path: Path, proof: str) -> None:
    write_tests(tmp_path)
    assert len(list(faults(page(proof), tmp_path))) == len(EXPECTED)


def test_misses_a_finding(tmp_path: Path) -> None:
    text = page().replace("| F12 | It holds. | planned: issue 4 |\n", "")
    assert list(faults(text, tmp_path)) == [
        "the page lists 69 findings, not F1 to F70 in order; missing: ['F12']"
    ]


def write_tests(project: Path) -> None:
    tests = project / "tests" / "jobs"
    tests.mkdir(parents=True)
    (tests / "test_lanes.py").write_text(
        "async def test_starts():\n    pass\n\n\n"
        "class TestLanes:\n    def test_is_full(self):\n        pass\n"
    )
    (project / "benchmarks").mkdir()
    (project / "benchmarks" / "jobs.py").write_text("")
