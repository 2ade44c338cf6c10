"""Talking to the Muniment at MUNIMENT_URL with the key MUNIMENT_API_KEY."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec

from muniment.cli.runtime import progress_bars
from muniment.errors import MunimentError
from muniment.settings import Settings
from muniment.sources.local_folder.walk import FoundFile, UnlistedFolder, walk

_BATCH_FILES = 50
_BATCH_BYTES = 16 * 1024 * 1024
_LOOK = 0.3


class RemoteFailed(MunimentError):
    """The remote Muniment did not answer."""

    code = "remote_failed"
    title = "Remote failed"


class RemoteFailure(msgspec.Struct, frozen=True):
    """One file that the remote could not take in."""

    path: str
    code: str
    detail: str


class RemoteIngestResult(msgspec.Struct, frozen=True):
    """What an upload of a folder did; counts are files."""

    path: str
    found: int
    failed: int
    seconds: float
    failures: list[RemoteFailure]


def authorization(settings: Settings) -> dict[str, str]:
    """Return the header that tells the remote who asks.

    Raises:
        RemoteFailed: no key is set.
    """
    if not settings.api_key:
        raise RemoteFailed(
            "MUNIMENT_URL is set, so this is to be done there, but MUNIMENT_API_KEY is not: set "
            "it to a key of that installation."
        )
    return {"Authorization": f"Bearer {settings.api_key}"}


def call(settings: Settings, method: str, path: str, **arguments: Any) -> Any:
    """Make one request and return its answer, decoded; None where it has no content.

    Raises:
        RemoteFailed: the remote could not be reached, or answered with an error.
    """
    try:
        answer = httpx.request(
            method,
            f"{(settings.url or '').rstrip('/')}{path}",
            headers=authorization(settings),
            timeout=120,
            **arguments,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RemoteFailed(f"{settings.url} cannot be reached: {error}") from error
    if not answer.is_success:
        raise RemoteFailed(f"{settings.url} answered: {detail_of(answer)}")
    return answer.json() if answer.content else None


def ingest_remotely(settings: Settings, path: Path) -> RemoteIngestResult:
    """Upload a folder's files, wait until they are searchable, and gather what failed.

    Raises:
        FolderNotFound, FolderUnreadable, RemoteFailed.
    """
    started = time.monotonic()
    failures: list[RemoteFailure] = []
    found = 0
    with progress_bars() as bars:
        bar = bars.add_task("files", total=None)
        for batch in _batches(path, failures):
            upload = _send(settings, batch)
            failures += _settled(settings, upload)
            found += len(batch)
            bars.update(bar, completed=found)
        bars.update(bar, total=found)
    seconds = round(time.monotonic() - started, 2)
    return RemoteIngestResult(str(path), found, len(failures), seconds, failures)


def _batches(path: Path, failures: list[RemoteFailure]) -> Iterator[list[FoundFile]]:
    batch: list[FoundFile] = []
    size = 0
    for entry in walk(path):
        if isinstance(entry, UnlistedFolder):
            failures.append(RemoteFailure(entry.prefix, "folder_unreadable", entry.reason))
        elif not entry.regular:
            failures.append(RemoteFailure(entry.external_id, "not_a_file", "Not a regular file."))
        else:
            if batch and (len(batch) == _BATCH_FILES or size + entry.size_bytes > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(entry)
            size += entry.size_bytes
    if batch:
        yield batch


def _send(settings: Settings, batch: Sequence[FoundFile]) -> dict[str, Any]:
    with ExitStack() as opened:
        files = [
            ("files", (entry.external_id, opened.enter_context(entry.path.open("rb"))))
            for entry in batch
        ]
        answer: dict[str, Any] = call(settings, "POST", "/v1/documents", files=files)
    return answer


def _settled(settings: Settings, upload: dict[str, Any]) -> Iterator[RemoteFailure]:
    """Wait for an upload's job and yield what failed of it."""
    job = upload["job"]
    while job["status"] in {"queued", "running"}:
        time.sleep(_LOOK)
        job = call(settings, "GET", f"/v1/jobs/{job['id']}")
    sent = {UUID(document_id) for document_id in upload["documents"]}
    cursor = None
    while sent:
        parameters = {"status": "failed", "limit": "100"} | ({"cursor": cursor} if cursor else {})
        page = call(settings, "GET", "/v1/documents", params=parameters)
        for document in page["items"]:
            if UUID(document["id"]) in sent:
                error = document["error"]
                yield RemoteFailure(document["path"], error["code"], error["detail"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def detail_of(answer: httpx.Response) -> str:
    """Return what a refused request was told."""
    try:
        problem: dict[str, Any] = answer.json()
        return str(problem.get("detail") or problem)
    except ValueError:
        return f"status {answer.status_code}"
