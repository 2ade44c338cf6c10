"""What a conversion is given and what it yields."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from muniment.documents.chunk import Chunk, Page
from muniment.documents.markdown_text import Json

SPOOLED_TEXT = "text.md"
SPOOLED_CHUNKS = "chunks.msgpack"
_LENGTH_BYTES = 4
_BATCH = 500


class ConversionItem(msgspec.Struct, frozen=True):
    """A file to convert: where its bytes are, and what its source calls it.

    `media_type` is what the source declares, if anything; the content is believed first.
    `passwords` are tried on an encrypted PDF. `title` is what the source calls the document; it
    wins over titles found in the content.
    """

    path: Path
    filename: str
    media_type: str | None = None
    title: str | None = None
    passwords: tuple[str, ...] = ()


class Conversion(msgspec.Struct):
    """The text of a document and its chunks.

    Attributes:
        title: from the source, the document's metadata, its first heading, or the file name.
        media_type: what the file is by its content.
        metadata: author, dates, language and what else the document tells of itself; JSON-safe.
        warnings: what could not be read, in sentences.
        pages: where each page is in the text, in characters; empty where there are no pages.
        text_length: characters of the text.
        text_hash: SHA-256 of the text in UTF-8.
        chunk_count: how many chunks `chunk_batches` yields.

    A large text and its chunks are not held in memory but in a folder, until `discard` or the end
    of the converter. Read them with `markdown`, `text_path` and `chunk_batches`.
    """

    title: str
    media_type: str
    metadata: dict[str, Json]
    warnings: list[str]
    pages: list[Page]
    text_length: int
    text_hash: bytes
    chunk_count: int
    inline_text: str | None = None
    inline_chunks: list[Chunk] | None = None
    spool: str | None = None

    @property
    def text_path(self) -> Path | None:
        """The file with the text in UTF-8 if it is too large to be passed in memory."""
        return Path(self.spool, SPOOLED_TEXT) if self.spool else None

    async def markdown(self) -> str:
        """Return the whole text; prefer `text_path` where it is set."""
        if self.text_path is None:
            return self.inline_text or ""
        return await asyncio.to_thread(_read_text, self.text_path)

    async def chunk_batches(self, size: int = _BATCH) -> AsyncIterator[list[Chunk]]:
        """Yield the chunks in order, at most `size` at a time."""
        if self.spool is None:
            chunks = self.inline_chunks or []
            for start in range(0, len(chunks), size):
                yield chunks[start : start + size]
            return
        batches = read_chunks(Path(self.spool, SPOOLED_CHUNKS), size)
        while batch := await asyncio.to_thread(next, batches, None):
            yield batch

    async def discard(self) -> None:
        """Remove what is spooled; the rest stays usable."""
        if self.spool is not None:
            await asyncio.to_thread(shutil.rmtree, self.spool, ignore_errors=True)


def _read_text(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def append_chunks(path: Path, chunks: list[Chunk]) -> None:
    """Append chunks to a spool file, each as a length of 4 bytes and MessagePack."""
    encoder = msgspec.msgpack.Encoder()
    with path.open("ab") as file:
        for chunk in chunks:
            encoded = encoder.encode(chunk)
            file.write(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)


def read_chunks(path: Path, size: int) -> Iterator[list[Chunk]]:
    """Yield the chunks of a spool file in lists of at most `size`."""
    decoder = msgspec.msgpack.Decoder(Chunk)
    with path.open("rb") as file:
        batch: list[Chunk] = []
        while prefix := file.read(_LENGTH_BYTES):
            batch.append(decoder.decode(file.read(int.from_bytes(prefix, "big"))))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
