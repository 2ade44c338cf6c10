"""Following a job of the Muniment at MUNIMENT_URL, through its server-sent events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from uuid import UUID

import httpx
import msgspec

from muniment.cli.remote import RemoteFailed, authorization, detail_of
from muniment.jobs.schemas import JobDetail
from muniment.settings import Settings

_SILENCE = 60.0
"""Seconds without even a heartbeat after which the connection is given up."""
_PAUSE = 2.0
_TRIES = 5
"""In a row that bring nothing."""


def job_states(settings: Settings, job_id: UUID) -> Iterator[JobDetail]:
    """Yield the state of a job now and at each change, until it and its children have ended.

    Raises:
        RemoteFailed: the remote could not be reached several times, or answered with an error.
    """
    address = f"{(settings.url or '').rstrip('/')}/v1/jobs/{job_id}/events"
    headers = authorization(settings)
    failures = 0
    while True:
        try:
            with httpx.stream(
                "GET", address, headers=headers, timeout=httpx.Timeout(10, read=_SILENCE)
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise RemoteFailed(f"{settings.url} answered: {detail_of(answer)}")
                for kind, data in _events(answer.iter_lines()):
                    failures = 0
                    if kind == "end":
                        return
                    yield msgspec.json.decode(data, type=JobDetail)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failures += 1
            if failures >= _TRIES:
                raise RemoteFailed(f"{settings.url} cannot be reached: {error}") from error
        # Streams end after a while, so that we are asked anew who we are.
        time.sleep(_PAUSE)


def _events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield kind and data of each event; ours have one line of data."""
    kind, data = "", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data = value
        elif not line:
            if data:
                yield kind, data
            kind, data = "", ""
