"""What a commit tells the caches of all processes, through NOTIFY."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

CHANNEL = "muniment_cache"
"""Its notifications hold cache tags, separated by one space."""

_TAG = re.compile(r"[A-Za-z0-9_-]{1,128}/[A-Za-z0-9_:.-]{1,128}")
_LARGEST_PAYLOAD = 7900
"""Characters; Postgres refuses 8,000."""


def require_tags(tags: Iterable[str]) -> None:
    """Refuse tags that are not written ``partition/name``.

    Raises:
        ValueError: one is not.
    """
    for tag in tags:
        if _TAG.fullmatch(tag) is None:
            raise ValueError(f"{tag!r} is not a cache tag")


def notifications(tags: Collection[str]) -> str:
    """Return the commands that announce tags when their transaction commits.

    The tags hold no quotes, see `require_tags`, so they can stand in the text. The function is
    called rather than NOTIFY given, because pg_stat_statements would keep an entry for each
    payload of the command and lose those of other statements.
    """
    return "".join(
        f"SELECT pg_notify('{CHANNEL}', '{payload}'); " for payload in _payloads(sorted(tags))
    )


def _payloads(tags: Iterable[str]) -> Iterator[str]:
    payload = ""
    for tag in tags:
        if payload and len(payload) + 1 + len(tag) > _LARGEST_PAYLOAD:
            yield payload
            payload = ""
        payload = f"{payload} {tag}" if payload else tag
    if payload:
        yield payload
