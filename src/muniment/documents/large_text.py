"""Text files of many megabytes, read, chunked and spooled part by part in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from muniment.documents.chunk import Chunker, Position
from muniment.documents.conversion import (
    SPOOLED_CHUNKS,
    SPOOLED_TEXT,
    Conversion,
    ConversionItem,
    append_chunks,
)
from muniment.documents.convert_errors import NoTextFound
from muniment.documents.extract import Extracted, Limits, best_title, check_size
from muniment.documents.markdown_text import drop_shortcodes, split_front_matter
from muniment.documents.media_types import Family, MediaType, sniff
from muniment.documents.text_decoding import clean, detect_encoding

LARGE_BYTES = 8 * 1024 * 1024
_PART_CHARACTERS = 1024 * 1024
_TABLES = ("text/csv", "text/tab-separated-values")
_HEAD = 64 * 1024


def large_text_type(item: ConversionItem, limits: Limits) -> MediaType | None:
    """Return the type of a text file that is too large to be read at once; None for any other.

    Raises:
        ConversionError: the file is empty, too large or no text.
        OSError: it cannot be read.
    """
    if check_size(item, limits) < LARGE_BYTES:
        return None
    media_type = sniff(item.path, item.filename, item.media_type)
    if media_type.family in (Family.MARKDOWN, Family.TEXT) or media_type.name in _TABLES:
        return media_type
    return None


def convert_large_text(
    item: ConversionItem,
    media_type: MediaType,
    chunker: Chunker,
    folder: Path,
    on_progress: Callable[[], None],
) -> Conversion:
    """Convert a large text file; text and chunks go to files in `folder`.

    `on_progress` is called after each part.

    Raises:
        NoTextFound: it holds nothing but white space.
        OSError: it cannot be read, or the disk is full.
    """
    markdown = media_type.family is Family.MARKDOWN
    extracted = Extracted(text="", media_type=media_type.name, markdown=markdown)
    position = Position()
    digest = hashlib.sha256()
    with (folder / SPOOLED_TEXT).open("w", encoding="utf-8", newline="") as spooled:
        for part in _parts(item.path):
            text = part
            if markdown:
                if not position.offset:
                    extracted.metadata, text = split_front_matter(text)
                text = drop_shortcodes(text)
            if not position.offset:
                text = text.lstrip("\n")
                extracted.text = text[:_HEAD]
                extracted.title = best_title(item, extracted)
            spooled.write(text)
            digest.update(text.encode())
            chunks = chunker.chunk(text, title=extracted.title, markdown=markdown, after=position)
            append_chunks(folder / SPOOLED_CHUNKS, chunks)
            on_progress()
    if not position.ordinal:
        raise NoTextFound
    return Conversion(
        title=extracted.title,
        media_type=media_type.name,
        metadata=extracted.metadata,
        warnings=[],
        pages=[],
        text_length=position.offset,
        text_hash=digest.digest(),
        chunk_count=position.ordinal,
        spool=str(folder),
    )


def _parts(path: Path) -> Iterator[str]:
    """Yield the text in parts of about a million characters, cut at blank lines if possible."""
    with path.open("rb") as file:
        encoding = detect_encoding(file.read(_HEAD)) or "utf-8"
    held = ""
    with path.open(encoding=encoding, errors="replace", newline=None) as file:
        while block := file.read(_PART_CHARACTERS):
            text = held + clean(block)
            cut = _cut(text)
            held = text[cut:]
            if cut:
                yield text[:cut]
    if held:
        yield held


def _cut(text: str) -> int:
    """Return where to end a part: after a blank line, a line, a word, or at the end."""
    for separator in ("\n\n", "\n", " "):
        found = text.rfind(separator, len(text) // 2)
        if found >= 0:
            return found + len(separator)
    return len(text)
