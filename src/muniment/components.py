"""What processes are made of, built from the settings: embedder, blobs, index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.search.postgres.index import PostgresSearchIndex

if TYPE_CHECKING:
    from muniment.documents.search_index import SearchIndex
    from muniment.settings import Settings


def load_embedder(settings: Settings) -> Embedder:
    """Load the embedding model; takes about half a second.

    Raises:
        EmbeddingModelUnusable: the model is not where the settings say, or is damaged.
    """
    return Embedder.load(
        settings.embed_model, max_tokens=settings.chunk_tokens, threads=settings.embed_threads
    )


def open_blobs(settings: Settings) -> BlobStore:
    """Open the blob store in the data directory.

    Raises:
        BlobStoreUnavailable, DiskFull: the folder cannot be made.
    """
    return BlobStore.in_folder(settings.data_dir / "blobs")


def search_index() -> SearchIndex:
    """Return the search engine: Postgres itself."""
    return PostgresSearchIndex()
