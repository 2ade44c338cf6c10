"""Blobs are named by their content, stored once, and never half."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from muniment.db import OrgId, new_id
from muniment.documents.blobs import PIECE, BlobStore
from muniment.documents.errors import BlobNotFound, BlobStoreUnavailable, DiskFull, FileChanging

LARGE = b"0123456789abcdef" * (PIECE // 2)


@pytest.fixture
def org_id() -> OrgId:
    return OrgId(new_id())


async def read(blobs: BlobStore, org_id: OrgId, digest: bytes) -> bytes:
    return b"".join([piece async for piece in await blobs.stream(org_id, digest)])


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "large"])
async def test_comes_back_as_it_was(tmp_path: Path, org_id: OrgId, data: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(data)
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    digest, size = blobs.put_file(org_id, source)
    assert (digest, size) == (hashlib.sha256(data).digest(), len(data))
    assert await read(blobs, org_id, digest) == data
    async with blobs.as_file(org_id, digest) as path:
        assert path.read_bytes() == data


async def test_same_content_is_stored_once(tmp_path: Path, org_id: OrgId) -> None:
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    blobs.put(org_id, b"same")
    before = [path.stat().st_ino for path in (tmp_path / "blobs").rglob("*")]
    blobs.put(org_id, b"same")
    assert [path.stat().st_ino for path in (tmp_path / "blobs").rglob("*")] == before


async def test_another_organization_does_not_share(tmp_path: Path, org_id: OrgId) -> None:
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    digest = blobs.put(org_id, b"ours")
    with pytest.raises(BlobNotFound):
        await read(blobs, OrgId(new_id()), digest)
    with pytest.raises(BlobNotFound):
        async with blobs.as_file(OrgId(new_id()), digest):
            pass


def test_missing_source_is_an_os_error(tmp_path: Path, org_id: OrgId) -> None:
    blobs = BlobStore.in_folder(tmp_path / "blobs")
    with pytest.raises(FileNotFoundError):
        blobs.put_file(org_id, tmp_path / "nothing")


def test_a_file_that_changes_while_it_is_read_leaves_no_blob(tmp_path: Path, org_id: OrgId) -> None:
    """Two readings of a growing file differ; what was hashed first must not be stored."""
    source = tmp_path / "growing"
    source.write_bytes(LARGE)
    stop = threading.Event()

    def grow() -> None:
        with source.open("ab", buffering=0) as file:
            while not stop.is_set() and source.stat().st_size < 64 * PIECE:
                file.write(b"x" * 4096)

    blobs = BlobStore.in_folder(tmp_path / "blobs")
    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(FileChanging):
            blobs.put_file(org_id, source)
    finally:
        stop.set()
        writer.join()
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk_says_so_and_leaves_nothing_half(tmp_path: Path, org_id: OrgId) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], check=True)
    try:
        blobs = BlobStore.in_folder(tmp_path / "blobs")
        small = blobs.put(org_id, b"fits")
        with pytest.raises(DiskFull):
            blobs.put(org_id, LARGE)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [small.hex()]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BlobStoreUnavailable):
        BlobStore.in_folder(tmp_path / "file" / "blobs")
