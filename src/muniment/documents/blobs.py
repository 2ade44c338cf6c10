"""Content-addressed bytes: each blob is named by its organization and its SHA-256.

The same bytes are stored once in an organization, and nothing is shared across
organizations. obstore writes a blob beside its place and moves it in, so a reader or a
killed process never meets half of one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from muniment.db import OrgId
from muniment.documents.errors import BlobNotFound, BlobStoreUnavailable, DiskFull, FileChanging

PIECE = 1024 * 1024
"""Bytes that are held in memory at a time while a blob is read or written."""

_SMALL = 4 * PIECE


class BlobStore:
    """The blobs of an installation. Its methods block: call them from a thread."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def in_folder(cls, folder: Path) -> BlobStore:
        """Keep blobs in a folder of this machine, made if need be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _translated(error) from error
        return cls(LocalStore(prefix=folder, automatic_cleanup=False, mkdir=False))

    def put(self, org_id: OrgId, data: bytes) -> bytes:
        """Store bytes and return their SHA-256 (32 bytes).

        Raises:
            DiskFull, BlobStoreUnavailable: nothing was stored.
        """
        digest = hashlib.sha256(data).digest()
        key = _key(org_id, digest)
        try:
            if not self._has(key):
                obstore.put(self._store, key, data, use_multipart=False)
        except (BaseError, OSError) as error:
            raise _translated(error) from error
        return digest

    def put_file(self, org_id: OrgId, path: Path) -> tuple[bytes, int]:
        """Store a file and return its SHA-256 and its size in bytes.

        A small file is read once. A large one is read twice in pieces, since its name is
        its hash.

        Raises:
            OSError: the file cannot be read.
            FileChanging: a large file changed between both readings.
            DiskFull, BlobStoreUnavailable: nothing was stored.
        """
        with path.open("rb") as file:
            return self.put_open_file(org_id, file)

    def put_open_file(self, org_id: OrgId, file: IO[bytes]) -> tuple[bytes, int]:
        """Store what is in an open, seekable file; see `put_file`."""
        head = file.read(_SMALL)
        if len(head) < _SMALL:
            return self.put(org_id, head), len(head)
        file.seek(0)
        digest, size = hash_file(file)
        key = _key(org_id, digest)
        file.seek(0)
        try:
            if not self._has(key):
                obstore.put(self._store, key, _verified(file, digest), chunk_size=5 * PIECE)
        except (BaseError, OSError) as error:
            raise _translated(error) from error
        return digest, size

    def probe(self) -> None:
        """Write a few bytes, read them back and delete them.

        Raises:
            DiskFull, BlobStoreUnavailable: one of these cannot be done.
        """
        key, data = f"probe/{uuid4().hex}", b"probe"
        try:
            obstore.put(self._store, key, data, use_multipart=False)
            found = bytes(obstore.get(self._store, key).bytes())
            obstore.delete(self._store, key)
        except (BaseError, OSError) as error:
            raise _translated(error) from error
        if found != data:
            raise BlobStoreUnavailable("The blob store does not give back what was written.")

    def _has(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    @asynccontextmanager
    async def as_file(self, org_id: OrgId, digest: bytes) -> AsyncIterator[Path]:
        """Give a blob as a file that may be read but not changed, while the context is open.

        Raises:
            BlobNotFound: there is no such blob.
        """
        key = _key(org_id, digest)
        if isinstance(self._store, LocalStore) and self._store.prefix is not None:
            path = Path(self._store.prefix) / key
            if not path.is_file():
                raise BlobNotFound
            yield path
            return
        with tempfile.NamedTemporaryFile(prefix="muniment-") as file:
            async for piece in await self.stream(org_id, digest):
                file.write(piece)
            file.flush()
            yield Path(file.name)

    async def stream(self, org_id: OrgId, digest: bytes) -> AsyncIterator[bytes]:
        """Open a blob and return its bytes in pieces.

        Raises:
            BlobNotFound: there is no such blob; told before the first piece is asked for, while
                a response can still say so.
        """
        try:
            found = await obstore.get_async(self._store, _key(org_id, digest))
        except FileNotFoundError as error:
            raise BlobNotFound from error
        return _pieces(found)


async def _pieces(found: obstore.GetResult) -> AsyncIterator[bytes]:
    async for piece in found.stream(min_chunk_size=PIECE):
        yield bytes(piece)


def hash_file(file: IO[bytes]) -> tuple[bytes, int]:
    """Return the SHA-256 and the size of what is left of a file."""
    digest = hashlib.sha256()
    size = 0
    while piece := file.read(PIECE):
        digest.update(piece)
        size += len(piece)
    return digest.digest(), size


def _verified(file: IO[bytes], expected: bytes) -> Iterator[bytes]:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
        yield piece
    if digest.digest() != expected:
        raise FileChanging


def _key(org_id: OrgId, digest: bytes) -> str:
    name = digest.hex()
    return f"{org_id.hex}/{name[:2]}/{name}"


def _translated(error: Exception) -> DiskFull | BlobStoreUnavailable:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error):
        return DiskFull()
    return BlobStoreUnavailable(f"The blob store cannot be written: {error}")
