"""From a file to its text, title, pages and metadata. Runs inside a conversion process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePath

import msgspec

from muniment.documents.blocks import heading_title
from muniment.documents.chunk import Page
from muniment.documents.conversion import ConversionItem
from muniment.documents.convert_errors import (
    EmptyFile,
    FileTooLarge,
    MalformedDocument,
    NoTextFound,
)
from muniment.documents.markdown_text import (
    Json,
    drop_shortcodes,
    first_heading,
    split_front_matter,
)
from muniment.documents.media_types import PPTX, Family, MediaType, sniff
from muniment.documents.text_decoding import decode

# What programs write into the title of a document whose author wrote none.
_JUNK_TITLE = re.compile(
    r"""\(?(?:anonymous|unspecified|untitled|unknown)\)? | microsoft\ word\b.* | slide\ \d+
    | powerpoint\ presentation | (?:document|sheet)\d* | [\W\d]*
    | .*\.(?:docx?|pdf|tex|dvi|indd|txt|rtf|pptx?|xlsx?)""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST_TITLE = 300


class Extracted(msgspec.Struct):
    """A document's text and what else is known of it; offsets in `pages` refer to `text`."""

    text: str
    media_type: str
    metadata: dict[str, Json] = {}
    pages: list[Page] = []
    warnings: list[str] = []
    title: str = ""
    markdown: bool = True

    @property
    def text_hash(self) -> bytes:
        """SHA-256 of the text in UTF-8."""
        return hashlib.sha256(self.text.encode()).digest()


class Limits(msgspec.Struct, frozen=True):
    """What one file may take: bytes of the file, pages and seconds of text recognition."""

    max_bytes: int = 256 * 1024 * 1024
    ocr: bool = True
    ocr_pages: int = 30
    ocr_seconds: float = 80.0


def extract(item: ConversionItem, limits: Limits) -> Extracted:
    """Return the text of a file.

    Raises:
        ConversionError: there is none; the class tells why.
        OSError: the file cannot be read.
    """
    check_size(item, limits)
    media_type = sniff(item.path, item.filename, item.media_type)
    extracted = _READERS[media_type.family](item, media_type, limits)
    if not extracted.text or extracted.text.isspace():
        raise NoTextFound
    extracted.title = best_title(item, extracted)
    return extracted


def check_size(item: ConversionItem, limits: Limits) -> int:
    """Return the size of a file in bytes.

    Raises:
        EmptyFile, FileTooLarge: it is not within the limits.
        OSError: the file cannot be read.
    """
    size = item.path.stat().st_size
    if size == 0:
        raise EmptyFile
    if size > limits.max_bytes:
        raise FileTooLarge(
            f"The file has {size / 1e6:.0f} MB; at most {limits.max_bytes / 1e6:.0f} MB are read."
        )
    return size


def _read_markdown(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    del limits
    metadata, text = split_front_matter(decode(item.path.read_bytes()))
    text = drop_shortcodes(text).strip("\n")
    if not text or text.isspace():
        # A page of nothing but front matter can still be found by what that says.
        told = [metadata.get("title"), metadata.get("description")]
        text = "\n\n".join(value for value in told if isinstance(value, str))
    return Extracted(text=text, media_type=media_type.name, metadata=metadata)


def _read_text(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    del limits
    text = decode(item.path.read_bytes()).strip("\n")
    return Extracted(text=text, media_type=media_type.name, markdown=False)


def _read_markup(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    del limits
    from muniment.documents.kreuzberg_reader import read_bytes

    content = item.path.read_bytes()
    if media_type.name != "message/rfc822":  # every part of a message has its own encoding
        content = decode(content).encode()
    reading = read_bytes(content, media_type.name)
    return Extracted(
        text=reading.text,
        media_type=media_type.name,
        metadata=reading.metadata,
        warnings=reading.warnings,
    )


def _read_office(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    del limits
    from muniment.documents.kreuzberg_reader import read_file
    from muniment.documents.slides import place_slides, slide_texts

    is_slides = media_type.name == PPTX
    try:
        reading = read_file(str(item.path), media_type.name)
    except MalformedDocument as error:
        if not is_slides:
            raise
        from muniment.documents.pdf_pages import join_pages

        text, pages = join_pages(slide_texts(item.path))
        return Extracted(
            text=text, media_type=media_type.name, pages=pages, warnings=[error.detail]
        )
    pages = place_slides(reading.text, slide_texts(item.path)) if is_slides else reading.pages()
    return Extracted(
        text=reading.text,
        media_type=media_type.name,
        metadata=reading.metadata,
        pages=pages,
        warnings=reading.warnings,
    )


def _read_pdf(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    from muniment.documents.kreuzberg_reader import read_file
    from muniment.documents.pdf_pages import join_pages, structured_pages
    from muniment.documents.scans import read_scanned_pages

    reading = read_file(str(item.path), media_type.name, item.passwords)
    page_texts = structured_pages(reading.page_texts, reading.nodes)
    blank = [number for number, text in page_texts if not text]
    warnings = reading.warnings
    if blank:
        found, problems = read_scanned_pages(item.path, blank, limits, len(page_texts))
        page_texts = [(number, text or found.get(number, "")) for number, text in page_texts]
        warnings = [*warnings, *problems]
    text, pages = join_pages(page_texts)
    if not text:
        raise NoTextFound("".join(["The document has no text layer. ", *warnings]).strip())
    metadata = {**reading.metadata, "page_count": len(page_texts)}
    return Extracted(
        text=text, media_type=media_type.name, metadata=metadata, pages=pages, warnings=warnings
    )


def _read_image(item: ConversionItem, media_type: MediaType, limits: Limits) -> Extracted:
    from muniment.documents.scans import read_scanned_image

    text = read_scanned_image(item.path.read_bytes(), limits)
    return Extracted(text=text, media_type=media_type.name, markdown=False)


_READERS: dict[Family, Callable[[ConversionItem, MediaType, Limits], Extracted]] = {
    Family.MARKDOWN: _read_markdown,
    Family.TEXT: _read_text,
    Family.MARKUP: _read_markup,
    Family.OFFICE: _read_office,
    Family.PDF: _read_pdf,
    Family.IMAGE: _read_image,
}


def best_title(item: ConversionItem, extracted: Extracted) -> str:
    """Return the source's title, the document's own, its first heading, or the file's name."""
    candidates = [
        item.title,
        extracted.metadata.get("title"),
        extracted.metadata.get("subject") if extracted.media_type == "message/rfc822" else None,
        first_heading(extracted.text) if extracted.markdown else None,
    ]
    for candidate in candidates:
        if isinstance(candidate, str):
            title = heading_title(candidate.strip("# "))
            if title and not _JUNK_TITLE.fullmatch(title):
                return title[:_LONGEST_TITLE]
    return (PurePath(item.filename).stem or item.filename or Path(item.path).stem)[:_LONGEST_TITLE]
