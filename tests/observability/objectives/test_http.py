"""`GET /v1/objectives` and `muniment objectives`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from muniment.app import create_app
from muniment.cli import app as commands
from muniment.db import Database, observe_statements
from muniment.objective_settings import default_objectives
from muniment.observability.objectives.recorder import series_of
from muniment.settings import Settings
from muniment.tenancy.operators.keys import create_operator_key
from muniment.worker import TASKS
from tests.app.conftest import application, client_of
from tests.observability.objectives.conftest import rows


async def test_requests_are_counted_and_told(database: Database) -> None:
    async with database.operator() as work:
        key = await create_operator_key(work, "test")
    app = application(database)
    async with client_of(app) as client:
        for _ in range(3):
            await client.get("/v1/me")
        client.headers["authorization"] = f"Bearer {key}"
        ran: list[str] = []
        with observe_statements(lambda name, _seconds, _error: ran.append(name)):
            answer = await client.get("/v1/objectives")
        assert answer.status_code == 200, answer.text
        # Callers are warmed in the background; the request ran one statement beside its key's.
        assert [name for name in ran if name.startswith("observability.")] == [
            "observability.objectives.objective_totals"
        ]
    names = [item["name"] for item in answer.json()["items"]]
    assert names == list(default_objectives())
    assert {item["state"] for item in answer.json()["items"]} == {"no_data"}
    # The end of the application wrote what it had counted: three refusals, and the reading itself.
    series = {name: series_of(name, objective) for name, objective in default_objectives().items()}
    stored = {row["series"]: row["total"] for row in await rows(database)}
    assert stored == {series["availability"]: 4, series["reading"]: 3}


async def test_only_operators_are_told(database: Database) -> None:
    async with client_of(application(database)) as client:
        answer = await client.get("/v1/objectives")
    assert answer.status_code == 401
    assert answer.json()["code"] == "missing_operator_key"


def test_the_shipped_objectives_are_about_something() -> None:
    """Every pattern of the defaults matches a route or a kind of job that there is."""
    app = create_app(Settings())
    known = {
        f"{method} {route.path_format}"
        for route in app.routes
        for method in getattr(route, "methods", ())
    }
    kinds = {task.kind for task in TASKS}
    for name, objective in default_objectives().items():
        routes = {each for each in known if objective.covers_route(*each.split(" ", 1))}
        jobs = {kind for kind in kinds if objective.covers_job(kind)}
        assert routes or jobs, name
        named = {each.removeprefix("!") for each in objective.routes if not each.endswith("*")}
        assert named <= known, name


def test_the_command_shows_them(data_dir: Path) -> None:
    environment = {"MUNIMENT_DATA_DIR": str(data_dir), "COLUMNS": "200"}
    told = CliRunner().invoke(commands, ["objectives", "--json"], env=environment)
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert [each["name"] for each in found] == list(default_objectives())
    shown = CliRunner().invoke(commands, ["objectives"], env=environment)
    assert shown.exit_code == 0, shown.output
    assert "99.9 % without failure, 28 days" in shown.stdout
    assert "95 % within 60 s, 7 days" in shown.stdout
