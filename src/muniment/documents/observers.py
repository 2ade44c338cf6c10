"""Who looks at conversions and embeddings as they happen: metrics."""

from __future__ import annotations

from typing import Literal, Protocol

EmbeddedThing = Literal["query", "passages"]
UNKNOWN_TYPE = "unknown"
"""The media type of a file that was not converted."""


class ConversionObserver(Protocol):
    """Looks at the files that are converted."""

    def file_ended(self, media_type: str, outcome: str, seconds: float | None) -> None:
        """Take note of a file: what it is (`UNKNOWN_TYPE` without success), `ok` or a code.

        `seconds` is what its process needed for it; None if it ended the process.
        """
        ...


class EmbeddingObserver(Protocol):
    """Looks at what is embedded. Called from several threads."""

    def began(self, what: EmbeddedThing) -> None:
        """Take note of work that waits for its turn."""
        ...

    def ended(self, what: EmbeddedThing) -> None:
        """Take note that it is done, or given up."""
        ...

    def embedded(self, what: EmbeddedThing, texts: int, seconds: float) -> None:
        """Take note that texts have got their vectors, without the wait before."""
        ...

    def query_known(self) -> None:
        """Take note of a query whose vector was kept."""
        ...
