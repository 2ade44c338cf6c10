"""What an index lags or leaks is never shown: passages and blobs are read as their owner's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from muniment.app import Services, create_app
from muniment.components import search_index
from muniment.db import Role
from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.documents.errors import BlobNotFound
from muniment.documents.search_index import IndexedPassage
from muniment.search.retrieval import search
from muniment.search.schemas import Filters, SearchMode, SearchRequest
from muniment.settings import Settings
from muniment.tenancy.keys.create import create_api_key
from tests.app.conftest import client_of
from tests.search.library import INDEX, MODEL, by_meaning, by_words, unit
from tests.tenancy.filled import Both


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load(threads=1) as embedder:
        yield embedder


async def test_no_leg_proposes_passages_of_others(both: Both) -> None:
    theirs = set(both.theirs.document.chunk_ids)
    ids = [both.theirs.document.document_id]
    async with both.attack() as work:
        for filters in ({}, {"document_ids": ids}):
            found = await by_words(work, "archive of theirs in confidence", **filters)
            near = await by_meaning(work, unit(1), **filters)
            assert not theirs & (found.keys() | near.keys())
            assert bool(found) == bool(near) == (not filters)
    async with both.database.system() as work:
        assert await work.connection.fetchval("SELECT count(*) FROM lexical_entries") == 0


async def test_an_entry_that_names_a_passage_of_others_shows_nothing(
    both: Both, embedder: Embedder
) -> None:
    """Entries of an index hold the ids of passages without a foreign key."""
    [passage] = both.theirs.document.chunk_ids
    mine = both.ours.document.document_id
    async with both.attack() as work:
        entry = IndexedPassage(passage, mine, "Mine", [], "forged words to be found by")
        await INDEX.upsert(work, [entry])
        await INDEX.upsert_embeddings(work, MODEL, [passage], unit(0, 1)[None])
        assert passage in await by_words(work, "forged")
    for filters in (Filters(), Filters(document_ids=[mine])):
        answer = await search(
            both.database,
            both.ours.scope,
            INDEX,
            embedder,
            SearchRequest(query="forged words", mode=SearchMode.LEXICAL, filters=filters),
        )
        assert passage not in {result.chunk_id for result in answer.results}
        assert all("theirs" not in result.text for result in answer.results)


async def test_the_same_bytes_are_another_blob_for_others(both: Both, tmp_path: Path) -> None:
    """Whoever knows the hash of what others keep learns nothing: not even whether it is there."""
    blobs = BlobStore.in_folder(tmp_path)
    digest = blobs.put(both.theirs.org_id, b"in confidence")
    with pytest.raises(BlobNotFound):
        await blobs.stream(both.ours.org_id, digest)
    with pytest.raises(BlobNotFound):
        async with blobs.as_file(both.ours.org_id, digest):
            pass


async def test_a_document_that_names_a_blob_of_others_has_no_content(
    both: Both, tmp_path: Path
) -> None:
    """Through the API: the hash of a blob opens nothing without its organization."""
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    digest = blobs.put(both.theirs.org_id, b"in confidence")
    mine = both.ours.document.document_id
    async with both.attack() as work:
        await work.connection.execute(
            "UPDATE documents SET content_hash = $1, text_hash = $1 WHERE document_id = $2",
            digest,
            mine,
        )
        key = (await create_api_key(work, "test", Role.VIEWER)).key
    settings = Settings(data_dir=tmp_path)
    services = Services(both.database, b"secret", settings, None, search_index(), blobs)  # type: ignore[arg-type]
    async with client_of(create_app(settings, services)) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        for part, document_id in (
            ("original", mine),
            ("content", mine),
            ("original", both.theirs.document.document_id),
        ):
            answer = await client.get(f"/v1/documents/{document_id}/{part}")
            assert answer.status_code == 404, answer.text
            assert "confidence" not in answer.text


async def test_statistics_of_words_do_not_tell_what_others_wrote(both: Both) -> None:
    """A word's key is salted with its organization, so equal words have nothing in common."""
    async with both.database.operator() as work:
        rows = await work.connection.fetch("SELECT org_id, term FROM lexical_statistics")
    terms = {
        org_id: {row["term"] for row in rows if row["org_id"] == org_id}
        for org_id in (both.ours.org_id, both.theirs.org_id)
    }
    # Both hold the words "filler", "of" and the numbers to 19.
    assert len(terms[both.ours.org_id]) > 5
    assert not terms[both.ours.org_id] & terms[both.theirs.org_id]
