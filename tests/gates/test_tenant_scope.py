"""A scope opens an organization: only the boundaries that know who asks may make one."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "muniment"
BOUNDARIES = {
    "jobs/schedules/scheduler.py",
    "jobs/worker.py",
    "tenancy/authentication.py",
    "tenancy/first_start.py",
    "tenancy/operators/organizations.py",
    "tenancy/people/scopes.py",
}


def makes_a_scope(path: Path) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "TenantScope"
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_scopes_are_made_at_the_boundaries_only() -> None:
    found = {
        path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if makes_a_scope(path)
    }
    assert found <= BOUNDARIES
    assert "tenancy/authentication.py" in found
