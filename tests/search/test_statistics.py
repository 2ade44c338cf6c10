"""Frequencies of words: right after every write, and no reason to wait for anybody."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg
import pytest

from muniment.db import Database, TenantScope, UnitOfWork
from tests.search.library import INDEX, Added, add_document, index_passages, new_library


async def recorded(work: UnitOfWork) -> Counter[int]:
    """Statistics plus what has not been folded into them."""
    rows = await work.connection.fetch(
        "SELECT term, sum(n)::int AS n FROM ("
        " SELECT term, frequency AS n FROM lexical_statistics UNION ALL"
        " SELECT change.term, change.n FROM lexical_changes,"
        " unnest(terms, frequencies) AS change (term, n)) AS part"
        " GROUP BY term HAVING sum(n) <> 0"
    )
    return Counter({row["term"]: row["n"] for row in rows})


async def counted(work: UnitOfWork) -> Counter[int]:
    rows = await work.connection.fetch(
        "SELECT term, count(*)::int AS n FROM lexical_entries, unnest(terms) AS term GROUP BY term"
    )
    return Counter({row["term"]: row["n"] for row in rows})


async def test_statistics_follow_every_write(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        added = [
            await add_document(work, library, [f"common word{number % 7} only{number}"] * 2)
            for number in range(30)
        ]
        assert await recorded(work) == await counted(work)
        await INDEX.delete(work, [one.document_id for one in added[:10]])
        assert await recorded(work) == await counted(work)
    async with database.unit_of_work(scope) as work:
        # Without a word to the index: the statistics follow a cascade too.
        await work.connection.execute(
            "DELETE FROM documents WHERE document_id = ANY($1)",
            [one.document_id for one in added[10:20]],
        )
    async with database.unit_of_work(scope) as work:
        assert await recorded(work) == await counted(work)
        totals = await work.connection.fetchval(
            "SELECT sum(chunk_count) FROM (SELECT chunk_count FROM lexical_totals"
            " UNION ALL SELECT chunk_count FROM lexical_changes) AS part"
        )
        assert totals == 20


async def test_conversions_of_one_organization_do_not_wait_for_each_other(
    database: Database, scope: TenantScope
) -> None:
    """Taking documents in counts them, one transaction at a time; writing their passages not."""
    texts = ["alpha beta gamma"] * 20
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        documents = [await add_document(work, library, texts, index=False) for _ in range(6)]

    async def write(
        some: list[Added], words: str, mine: asyncio.Event, other: asyncio.Event
    ) -> None:
        async with database.unit_of_work(scope) as work:
            await work.connection.execute("SET LOCAL lock_timeout = '5s'")
            for document in some:
                await index_passages(work, document, [words] * 20)
            # Neither commits before both have written all of the same words, in another order.
            mine.set()
            await asyncio.wait_for(other.wait(), 20)

    first, second = asyncio.Event(), asyncio.Event()
    await asyncio.gather(
        write(documents[:3], "alpha beta gamma", first, second),
        write(documents[3:], "gamma beta alpha", second, first),
    )
    async with database.unit_of_work(scope) as work:
        assert await recorded(work) == await counted(work)


async def test_a_rolled_back_import_leaves_no_trace(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        library = await new_library(work)
        before = await recorded(work)
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.unit_of_work(scope) as work:
            await add_document(work, library, ["alpha"])
            await work.connection.execute("SELECT 1 / 0")
    async with database.unit_of_work(scope) as work:
        assert await recorded(work) == before


async def test_an_organization_can_be_deleted(database: Database, scope: TenantScope) -> None:
    async with database.unit_of_work(scope) as work:
        await add_document(work, await new_library(work), ["alpha"])
    async with database.operator() as work:
        await work.connection.execute("DELETE FROM organizations WHERE org_id = $1", scope.org_id)
        for table in ("lexical_entries", "lexical_changes", "lexical_totals", "lexical_statistics"):
            assert not await work.connection.fetchval(f"SELECT count(*) FROM {table}")
