"""Putting the pages of a PDF together: exact words from the pages, structure from the analysis.

Kreuzberg's Markdown of a PDF has headings and paragraphs but no page marks, and its repair of
ligatures damages words ("world!" became "worldfi" in three of 28 test files). Its page texts are
faithful, but flat. So the words are taken from the pages, and headings and paragraph starts from
the document structure, wherever both agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from muniment.documents.chunk import Page
from muniment.documents.text_decoding import clean

_LONGEST_HEADING = 150
_MOST_HEADING_LINES = 3
_SPLIT_WORD = re.compile(r"\b([^\W\d_]{2,})-([^\W\d_]{2,})\b")
_BLANK_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_SENTENCE_IN_HEADING = re.compile(r"[.;:,]$|\.\s")


class _Mark:
    """Where the structure says that a heading (level above 0) or a paragraph starts."""

    def __init__(self, level: int, text: str) -> None:
        self.level = level
        lines = [squeeze(line) for line in text.splitlines()]
        self.lines = [line for line in lines if line]


def squeeze(text: str) -> str:
    """Return `text` without white space, to compare two readings of it."""
    return "".join(text.split())


def join_pages(texts: Iterable[tuple[int, str]]) -> tuple[str, list[Page]]:
    """Join page texts with blank lines; return the text and where each page is in it.

    Pages without text are left out.
    """
    parts: list[str] = []
    pages: list[Page] = []
    offset = 0
    for number, text in texts:
        if not text:
            continue
        pages.append(Page(number, offset, offset + len(text)))
        parts.append(text)
        offset += len(text) + 2
    return "\n\n".join(parts), pages


def structured_pages(
    pages: Sequence[tuple[int, str]], nodes: Sequence[Mapping[str, Any]]
) -> list[tuple[int, str]]:
    """Return the pages with Markdown headings and blank lines between paragraphs.

    Args:
        pages: number and plain text of each page.
        nodes: the document structure of Kreuzberg.
    """
    marks: dict[int, list[_Mark]] = {}
    for node in nodes:
        content = node["content"]
        kind = content.get("node_type")
        text = content.get("text") or ""
        if kind in ("heading", "title", "paragraph", "list_item") and node.get("page"):
            level = _heading_level(content, text) if kind in ("heading", "title") else 0
            marks.setdefault(node["page"], []).append(_Mark(level, text))
    rejoin = _word_joiner(text for _, text in pages)
    return [
        (number, rejoin(_structure(clean(text), marks.get(number, ())))) for number, text in pages
    ]


def _heading_level(content: Mapping[str, Any], text: str) -> int:
    """Return the level, or 0 for what only looks like a heading by its type size."""
    lines = text.strip().count("\n") + 1
    words = text.strip()
    plausible = (
        3 <= len(words) <= _LONGEST_HEADING
        and lines <= _MOST_HEADING_LINES
        and (words[0].isalnum() or words[0] in "§(¿¡\"'“„")
        and not _SENTENCE_IN_HEADING.search(words.replace(". ", " ", 1))
        and sum(char.isalpha() for char in words) * 2 > len(words.replace(" ", ""))
    )
    return int(content.get("level") or 1) if plausible else 0


def _structure(text: str, marks: Sequence[_Mark]) -> str:
    lines = [line.strip() for line in text.split("\n")]
    squeezed = [squeeze(line) for line in lines]
    starts: dict[int, _Mark] = {}
    position = 0
    for mark in marks:
        found = _find(squeezed, mark.lines, position)
        if found is not None:
            starts[found] = mark
            position = found + (len(mark.lines) if mark.level else 1)
    return _BLANK_LINES.sub("\n\n", "\n".join(_render(lines, starts))).strip()


def _find(lines: Sequence[str], wanted: Sequence[str], position: int) -> int | None:
    """Return the index of the line at or after `position` where `wanted` begins."""
    if not wanted:
        return None
    for index in range(position, len(lines)):
        if lines[index] == wanted[0]:
            return index
    return None


def _render(lines: Sequence[str], starts: Mapping[int, _Mark]) -> Iterator[str]:
    index = 0
    while index < len(lines):
        mark = starts.get(index)
        if mark is None:
            yield lines[index]
            index += 1
            continue
        yield ""
        if mark.level:
            yield f"{'#' * min(mark.level, 6)} {' '.join(lines[index : index + len(mark.lines)])}"
            yield ""
            index += len(mark.lines)
        else:
            yield lines[index]
            index += 1


def _word_joiner(texts: Iterable[str]) -> Any:
    """Return a function that rejoins words hyphenated at line ends.

    The page text no longer shows where its lines ended at a hyphen. A hyphen goes if the document
    has the joined word elsewhere, at least as often as the hyphenated one.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word.lower() for word in _WORD.findall(text))

    def join(match: re.Match[str]) -> str:
        joined = match.group(1) + match.group(2)
        keep = counts[joined.lower()] < max(counts[match.group().lower()], 1)
        return match.group() if keep else joined

    return lambda text: _SPLIT_WORD.sub(join, text)
