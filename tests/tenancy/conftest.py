"""Two organizations to be kept apart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from muniment.db import Database
from tests.tenancy.filled import Both, fill, guarded_tables


@pytest.fixture
async def both(database: Database) -> AsyncIterator[Both]:
    """The organizations before an attack; afterwards, theirs must be as it was."""
    tables = await guarded_tables(database)
    ours, theirs = await fill(database, "ours"), await fill(database, "theirs")
    both = Both(database, ours, theirs, tables)
    for of in (ours, theirs):
        empty = [name for name, rows in (await both.rows(of)).items() if not rows]
        assert empty == [], "tests/tenancy/filled.py makes no row for a table"
    before = await both.rows(theirs)
    yield both
    assert await both.rows(theirs) == before
