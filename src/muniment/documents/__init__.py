"""Blobs, import, conversion, chunks and embeddings of documents."""
