"""What waited and ran in the queue of earlier versions goes on in the one of now."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from uuid import UUID

import psycopg
import pytest
from alembic import command
from psycopg.types.json import Jsonb

from muniment.db import new_id
from muniment.db.installation import Installation, alembic_config, upgrade
from tests.conftest import empty_database


@pytest.fixture
def before(server: Installation) -> Iterator[Installation]:
    """A database as the version before had it."""
    with empty_database(server) as clone:
        target = clone.installation
        with psycopg.connect(target.owner_dsn, autocommit=True) as connection:
            roles = files("muniment.db").joinpath("roles.sql").read_text(encoding="utf-8")
            connection.execute(roles.encode())
        command.upgrade(alembic_config(target.owner_dsn), "0008")
        yield target


STATES = {
    "waiting": ("queued", "queued", "-1 s"),
    "delayed": ("queued", "queued", "1 hour"),
    "running": ("running", "picked", "-1 s"),
}


def test_queued_and_running_jobs_move_over(before: Installation) -> None:
    org_id, worker_id = new_id(), new_id()
    jobs: dict[str, UUID] = {}
    with psycopg.connect(before.owner_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO organizations (org_id, name) VALUES (%s, 'old')", [org_id])
        for name, (status, picked, due) in STATES.items():
            job_id = jobs[name] = new_id()
            runs = status == "running"
            connection.execute(
                "INSERT INTO jobs (org_id, job_id, kind, lane, status, payload, max_attempts,"
                " deadline, dedupe_key, worker_id, started_at) VALUES (%s, %s, 'tests.old',"
                " 'convert', %s, '{}', 5, '1 minute', %s, %s, CASE WHEN %s THEN now() END)",
                [org_id, job_id, status, None if runs else name, worker_id if runs else None, runs],
            )
            entry = Jsonb({"org_id": str(org_id), "job_id": str(job_id)})
            connection.execute(
                "INSERT INTO queue.pgqueuer (priority, status, entrypoint, payload, execute_after,"
                " queue_manager_id) VALUES (3, %s, 'convert',"
                " convert_to(%s::jsonb::text, 'UTF8'), now() + %s::interval, %s)",
                [picked, entry, due, worker_id if runs else None],
            )
        # Of a job that is gone.
        connection.execute(
            "INSERT INTO queue.pgqueuer (priority, status, entrypoint, payload) VALUES (0,"
            " 'queued', 'convert', convert_to(%s::jsonb::text, 'UTF8'))",
            [Jsonb({"org_id": str(org_id), "job_id": str(new_id())})],
        )
    upgrade(before)
    with psycopg.connect(before.owner_dsn, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT state, job_id, org_id, lane, worker_id, due_at <= now() FROM queue.entries"
        ).fetchall()
        keys = connection.execute(
            "SELECT queued_key FROM jobs WHERE queued_key IS NOT NULL ORDER BY 1"
        ).fetchall()
    assert {row[0]: row[1:] for row in rows} == {
        "waiting": (jobs["waiting"], org_id, "convert", None, True),
        "delayed": (jobs["delayed"], org_id, "convert", None, False),
        "running": (jobs["running"], org_id, "convert", worker_id, True),
    }
    assert keys == [("delayed",), ("waiting",)]
