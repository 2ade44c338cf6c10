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
_MOST_HEADING_LINES = 2
_LONGEST_SHORT_LINE = 50
_SHORTEST_FULL_LINE = 60
_SPLIT_WORD = re.compile(r"\b([^\W\d_]{2,})-([^\W\d_]{2,})\b")
_FEWEST_RUNNING = 3
_NUMBER = re.compile(r"\d+|(?<![a-z])[ivxl]+(?![a-z])")
_BLANK_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_MOST_NUMBERS = 3
_NOT_IN_HEADING = re.compile(r"[=<>|#{}\\$\u2190-\u22ff\u25a0-\u27bf]")
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
    lines = [[line.strip() for line in clean(text).split("\n")] for _, text in pages]
    drop_running_lines(lines)
    return [
        (number, rejoin(_structure(page, marks.get(number, ()))))
        for (number, _), page in zip(pages, lines, strict=True)
    ]


def drop_running_lines(pages: Sequence[list[str]]) -> None:
    """Blank, in place, the headers and footers that pages repeat but for their number.

    A line at an edge of a page (its first or last two) is one if most pages have it there.
    """
    edges: Counter[str] = Counter()
    for page in pages:
        edges.update({_running(page[index]) for index in _edge_lines(page)})
    needed = max(_FEWEST_RUNNING, len(pages) // 2 + 1)
    for page in pages:
        for index in _edge_lines(page):
            if edges[_running(page[index])] >= needed:
                page[index] = ""


def _edge_lines(page: Sequence[str]) -> list[int]:
    filled = [index for index, line in enumerate(page) if line]
    return sorted({*filled[:2], *filled[-2:]})


def _running(line: str) -> str:
    """Return what stays the same from page to page: the line with its numbers taken out."""
    return _NUMBER.sub("#", squeeze(line).lower())


def _heading_level(content: Mapping[str, Any], text: str) -> int:
    """Return the level, or 0 for what only looks like a heading by its type size."""
    lines = text.strip().splitlines()
    plausible = len(lines) <= _MOST_HEADING_LINES and _may_be_heading(" ".join(lines))
    return int(content.get("level") or 1) if plausible else 0


def _may_be_heading(words: str) -> bool:
    """Tell prose titles from formulas, table rows and ends of sentences set in large type."""
    letters = sum(char.isalpha() for char in words)
    numbers = sum(any(char.isdigit() for char in word) for word in words.split())
    return (
        3 <= len(words) <= _LONGEST_HEADING
        and (words[0].isalnum() or words[0] in "§(¿¡\"'“„")
        and letters >= 3
        and letters > 0.6 * len(words.replace(" ", ""))
        and numbers <= _MOST_NUMBERS
        and not _NOT_IN_HEADING.search(words)
        and not _SENTENCE_IN_HEADING.search(words.replace(". ", " ", 1))
    )


def _stands_out(lines: Sequence[str], index: int) -> bool:
    """Tell whether a short line before a paragraph is a heading that the analysis missed.

    It must look like a title, come after a finished sentence or at the top, and be followed by
    a full line that begins a sentence.
    """
    line = lines[index]
    if len(line) > _LONGEST_SHORT_LINE or not line[:1].isupper() or not _may_be_heading(line):
        return False
    before = next((text for text in reversed(lines[:index]) if text), ".")
    after = lines[index + 1] if index + 1 < len(lines) else ""
    return before[-1] in ".!?:" and len(after) > _SHORTEST_FULL_LINE and after[0].isupper()


def _structure(lines: Sequence[str], marks: Sequence[_Mark]) -> str:
    squeezed = [squeeze(line) for line in lines]
    starts: dict[int, _Mark] = {}
    position = 0
    for mark in marks:
        found = _find(squeezed, mark.lines, position)
        if found is not None:
            starts[found] = mark
            position = found + (len(mark.lines) if mark.level else 1)
    # What looks like a heading or a fence of Markdown by accident must not become one.
    plain = [f"\\{line}" if line.startswith(("#", "```", "~~~")) else line for line in lines]
    return _BLANK_LINES.sub("\n\n", "\n".join(_render(plain, starts))).strip()


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
        if (mark is None or not mark.level) and _stands_out(lines, index):
            yield from ("", f"## {lines[index]}", "")
            index += 1
            continue
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
