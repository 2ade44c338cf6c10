"""The catalogue that the doctor compares with is what the migrations leave behind."""

from __future__ import annotations

from importlib.resources import files

from muniment.db import Database
from muniment.db.checks.catalogue import FILE, expected_catalogue, read_catalogue
from tools.catalogue import render


async def test_the_file_is_what_the_migrations_leave_behind(database: Database) -> None:
    async with database.operator() as work:
        found = await read_catalogue(work)
    text = files("muniment.db.checks").joinpath(FILE).read_text(encoding="utf-8")
    assert render(found).splitlines() == text.splitlines(), "run make catalogue"
    assert found == expected_catalogue()
    assert {"public.jobs", "queue.entries"} <= {table.name for table in found.tables}
