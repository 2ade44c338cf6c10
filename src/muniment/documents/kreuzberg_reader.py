"""Reading documents with Kreuzberg: which formats, with what configuration, which errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import kreuzberg
from kreuzberg.exceptions import KreuzbergError, MissingDependencyError

from muniment.documents.chunk import Page
from muniment.documents.convert_errors import (
    ConversionError,
    EncryptedDocument,
    MalformedDocument,
    UnsupportedType,
)
from muniment.documents.markdown_text import Json, drop_escapes, drop_links, json_safe
from muniment.documents.text_decoding import clean

_KEPT_METADATA = (
    "title", "subject", "authors", "keywords", "language", "created_at", "modified_at",
    "created_by", "modified_by", "producer", "page_count", "sheet_names", "slide_count",
    "from_email", "to_emails", "cc_emails", "message_id", "attachments", "description",
    "category", "canonical_url", "document_version",
)  # fmt: skip
_NOTHING: tuple[Any, ...] = (
    None,
    "",
    [],
    {},
    "(unspecified)",
    "(anonymous)",
    ["(anonymous)"],
    "untitled",
)
_PAGE_PROBE = 60
# What Kreuzberg puts before the text of a web page; the metadata holds the same.
_META_BLOCK = re.compile(r"\A---\n(?:[\w-][^\n:]*:.*\n)*\n?(?:## title: .*\n|---\n)")


class Reading:
    """What Kreuzberg read: text in Markdown, metadata, pages and warnings."""

    def __init__(self, result: kreuzberg.ExtractionResult) -> None:
        metadata: Mapping[str, Any] = result.metadata
        self.text = _readable(result.content)
        self.metadata: dict[str, Json] = {
            name: json_safe(value)
            for name in _KEPT_METADATA
            if (value := metadata.get(name)) not in _NOTHING
        }
        self.warnings = [
            f"{warning.source}: {warning.message}"[:500]
            for warning in result.processing_warnings
            if "OCR" not in warning.message
        ]
        self.page_texts = [
            (int(page["page_number"]), str(page["content"])) for page in result.pages or ()
        ]
        self.nodes: Sequence[Mapping[str, Any]] = (result.document or {"nodes": []})["nodes"]

    def pages(self) -> list[Page]:
        """Find where the pages begin in `text`; without a page that cannot be placed, none.

        Page texts and the whole text differ in white space and tables, so a page is found by its
        first words after the beginning of the page before it.
        """
        starts: list[tuple[int, int]] = []
        position = 0
        for number, content in self.page_texts:
            probe = _readable(content)[:_PAGE_PROBE]
            if not probe:
                continue
            words = re.escape(probe).replace(r"\ ", r"\s+").replace("\\\n", r"\s+")
            match = re.compile(words).search(self.text, position)
            if match is None:
                return []
            starts.append((number, match.start()))
            position = match.end()
        if len(starts) < 2:
            # A single page says nothing; formats without pages are reported as one.
            return []
        ends = [start for _, start in starts[1:]] + [len(self.text)]
        return [
            Page(number, start if index else 0, end)
            for index, ((number, start), end) in enumerate(zip(starts, ends, strict=True))
        ]


def _readable(content: str) -> str:
    """Return Kreuzberg's Markdown without escapes, link targets and the head of a web page."""
    return drop_links(drop_escapes(_META_BLOCK.sub("", clean(content)))).strip()


def _configuration(passwords: Sequence[str], *, structure: bool) -> kreuzberg.ExtractionConfig:
    return kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format="markdown",
        include_document_structure=structure,
        pages=kreuzberg.PageConfig(extract_pages=True),
        pdf_options=kreuzberg.PdfConfig(passwords=list(passwords) or None),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )


def read_bytes(content: bytes, media_type: str) -> Reading:
    """Read a document that is in memory.

    Raises:
        ConversionError: it cannot be read; the class tells why.
    """
    try:
        config = _configuration((), structure=False)
        return Reading(kreuzberg.extract_bytes_sync(content, media_type, config))
    except KreuzbergError as error:
        raise _translated(error) from error


def read_file(path: str, media_type: str, passwords: Sequence[str] = ()) -> Reading:
    """Read a document from a file; PDFs come with their structure.

    Raises:
        ConversionError: it cannot be read; the class tells why.
    """
    try:
        config = _configuration(passwords, structure=media_type == "application/pdf")
        return Reading(kreuzberg.extract_file_sync(path, media_type, config))
    except KreuzbergError as error:
        raise _translated(error) from error


def _translated(error: KreuzbergError) -> ConversionError:
    message = " ".join(str(error).split())[:300]
    lowered = message.lower()
    if "password" in lowered or "encrypted" in lowered:
        return EncryptedDocument()
    if isinstance(error, MissingDependencyError) or "unsupported" in lowered:
        return UnsupportedType(f"The document cannot be read: {message}")
    return MalformedDocument(f"The document is damaged: {_plain(message)}.")


def _plain(message: str) -> str:
    """Drop the names of error classes and repetitions from a chain of messages."""
    parts = [part.strip(" .") for part in message.split(": ")]
    told = [part for part in parts if part and not part.endswith("Error")]
    return ": ".join(dict.fromkeys(told)) or message
