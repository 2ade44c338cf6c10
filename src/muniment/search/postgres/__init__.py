"""The search engine inside Postgres: BM25 on a GIN index and vectors on HNSW."""

from muniment.search.postgres.index import PostgresSearchIndex

__all__ = ["PostgresSearchIndex"]
