"""A folder and its documents stay in step, whatever the folder holds."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from muniment.db import Database, TenantScope
from muniment.jobs.schemas import JobStatus
from tests.sources.conftest import ENDED, Folder, until

pytestmark = pytest.mark.usefixtures("worker")


async def test_new_changed_and_removed_files(folder: Folder) -> None:
    folder.write("a.md", "# Apples\n\nA crate of apples.")
    folder.write("b/b.md", "# Pears\n\nA crate of pears.")
    run = await folder.sync()
    assert (run.found, run.added, run.changed, run.removed) == (2, 2, 0, 0)
    assert sorted(await folder.found("crate")) == ["Apples", "Pears"]

    folder.write("a.md", "# Apples\n\nA basket of apples.")
    (folder.path / "b" / "b.md").unlink()
    folder.write("c.md", "# Plums\n\nA crate of plums.")
    run = await folder.sync()
    assert (run.found, run.added, run.changed, run.removed) == (2, 1, 1, 1)
    assert await folder.found("crate") == ["Plums"]
    assert await folder.found("basket") == ["Apples"]
    assert await folder.found("pears") == []


async def test_second_run_imports_nothing(folder: Folder) -> None:
    for number in range(40):
        folder.write(f"{number}.md", f"# Note {number}\n\nText of note {number}.")
    first = await folder.sync()
    before = await folder.progress()
    second = await folder.sync()
    assert (first.added, second.added, second.changed, second.removed) == (40, 0, 0, 0)
    assert (await folder.progress()).chunks == before.chunks


async def test_touched_file_with_the_same_content_is_not_converted_again(folder: Folder) -> None:
    path = folder.write("a.md", "# Apples\n\nA crate of apples.")
    await folder.sync()
    os.utime(path, ns=(1, 1))
    run = await folder.sync()
    assert (run.added, run.changed) == (0, 0)
    run = await folder.sync()
    assert run.changed == 0


async def test_passages_get_their_vectors(folder: Folder) -> None:
    folder.write("a.md", "# Apples\n\nA crate of apples.")
    folder.write("b.md", "# Pears\n\nA crate of pears.")
    await folder.sync(embedded=True)
    progress = await folder.progress()
    assert (progress.embedded, progress.unembedded_chunks) == (2, 0)
    async with folder.database.unit_of_work(folder.scope) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM embeddings") == 2


async def test_bad_files_fail_alone_and_say_why(folder: Folder) -> None:
    folder.write("good.md", "# Good\n\nA crate of apples.")
    folder.write("empty.md", b"")
    folder.write("binary.bin", bytes(range(256)) * 64)
    folder.write("large.txt", "word " * 300_000)
    folder.write("broken.pdf", b"%PDF-1.7\nthis is no PDF")
    folder.write("nul.txt", b"apples\0and\0pears " * 20)
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(folder.path)
        listener.bind("door")
        os.chdir(Path(__file__).parent)
        run = await folder.sync()
    codes = {failure.path: failure.code for failure in await folder.failures()}
    assert codes.pop("nul.txt", "no_text") in {"not_text", "no_text"}
    assert codes == {
        "empty.md": "empty_file",
        "binary.bin": "not_text",
        "large.txt": "file_too_large",
        "broken.pdf": "malformed_document",
        "door": "not_a_file",
    }
    assert all(failure.detail for failure in await folder.failures())
    assert (run.found, run.unreadable) == (7, 2)
    assert "Good" in await folder.found("apples")


async def test_failed_file_that_is_mended_becomes_searchable(folder: Folder) -> None:
    folder.write("a.md", b"")
    await folder.sync()
    assert [failure.code for failure in await folder.failures()] == ["empty_file"]
    folder.write("a.md", "# Apples\n\nA crate of apples.")
    await folder.sync()
    assert await folder.failures() == []
    assert await folder.found("crate") == ["Apples"]


async def test_equal_files_are_converted_once(folder: Folder) -> None:
    text = "# Apples\n\n" + "A crate of apples. " * 200
    folder.write("a.md", text)
    await folder.sync()
    folder.write("copy.md", text)
    await folder.sync(embedded=True)
    async with folder.database.unit_of_work(folder.scope) as work:
        rows = await work.connection.fetch(
            "SELECT external_id, title, chunk_count, text_hash,"
            " (SELECT array_agg((ordinal, text, page, start_offset) ORDER BY ordinal)"
            "  FROM chunks USING_document WHERE USING_document.document_id = documents.document_id)"
            " AS passages FROM documents ORDER BY external_id"
        )
    assert [row["external_id"] for row in rows] == ["a.md", "copy.md"]
    first, copy = (tuple(row)[1:] for row in rows)
    assert first == copy
    assert rows[0]["chunk_count"] > 1


async def test_missing_folder_fails_the_sync_and_forgets_nothing(folder: Folder) -> None:
    folder.write("a.md", "# Apples\n\nA crate of apples.")
    await folder.sync()
    shutil.rmtree(folder.path)
    _run, job = await folder.start()

    async def ended() -> bool:
        return (await job()).status in ENDED

    await until(ended)
    failed = await job()
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert "does not exist" in failed.error.detail
    assert await folder.found("crate") == ["Apples"]


async def test_another_organization_finds_nothing(
    folder: Folder, database: Database, other_scope: TenantScope
) -> None:
    folder.write("a.md", "# Apples\n\nA crate of apples.")
    await folder.sync()
    theirs = Folder(folder.path, database, other_scope, folder.source)
    assert await theirs.found("crate") == []
    assert (await theirs.progress()).chunks == 0
