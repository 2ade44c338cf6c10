"""Finding the blocks of a Markdown text: headings, paragraphs, tables, code, with their place.

A line scan and not a full CommonMark parser: a chunk needs to know where a heading, table or
fenced code block starts and ends, in character offsets of the text itself, and 22 MB of Markdown
must take a second. Inline markup is of no interest here.
"""

from __future__ import annotations

import enum
import re

import msgspec

HeadingPath = tuple[str, ...]

_LONGEST_HEADING = 200
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"\s*(?:[-*+>] +)*(`{3,}|~{3,})")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
# Attributes of a heading, as Pandoc, Hugo and others write them: `{#id .class key="value"}`.
_ANCHOR = re.compile(r"\s*\{(?:[#.]|\w[\w-]*=)[^{}]*\}\s*$")
_TAG = re.compile(r"<[^>]{1,200}>")
_EMPHASIS = re.compile(r"(\*{1,3}|`+|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w))")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


class BlockKind(enum.Enum):
    """What a block is; it decides where a block that is too long may be cut."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    TABLE = "table"
    CODE = "code"


class Block(msgspec.Struct):
    """A stretch `text[start:end]` of a document under the headings `path`.

    A heading's own path includes itself. `cost` is its share of a passage's budget.
    """

    kind: BlockKind
    start: int
    end: int
    path: HeadingPath
    page: int | None = None
    cost: int = 0


class Headings:
    """The headings above the current line; `path` are their titles, outermost first.

    Hand one on from segment to segment to read a long text in parts.
    """

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.path: HeadingPath = ()

    def enter(self, level: int, title: str) -> None:
        """Take in a heading of `level`, which ends those of the same and of deeper levels."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, title))
        self.path = tuple(title for _, title in self._open)


def heading_title(markup: str) -> str:
    """Return a heading's words without links, emphasis, anchors and tags, on one line."""
    title = _ANCHOR.sub("", markup)
    title = _LINK.sub(r"\1", title)
    title = _TAG.sub("", title)
    title = _EMPHASIS.sub("", title)
    title = _ESCAPE.sub(r"\1", title)
    return " ".join(title.split())[:_LONGEST_HEADING]


def markdown_blocks(text: str, headings: Headings | None = None) -> list[Block]:
    """Split Markdown into blocks, in order, that cover all of it except blank lines.

    `headings` are those above the text, if it is a part of a longer one; they are brought up to
    date with the headings in the text.
    """
    return _MarkdownScan(text, headings or Headings()).run()


def plain_blocks(text: str) -> list[Block]:
    """Split text without markup into paragraphs at blank lines."""
    blocks: list[Block] = []
    start = -1
    for match in _LINE.finditer(text):
        if match.group().isspace():
            if start >= 0:
                blocks.append(Block(BlockKind.PARAGRAPH, start, match.start(), ()))
                start = -1
        elif start < 0:
            start = match.start()
    if start >= 0:
        blocks.append(Block(BlockKind.PARAGRAPH, start, len(text), ()))
    return blocks


class _MarkdownScan:
    """One pass over the lines of a text; `_open_at` is where the running block started."""

    def __init__(self, text: str, headings: Headings) -> None:
        self._text = text
        self._blocks: list[Block] = []
        self._headings = headings
        self._open_at = -1
        self._open_lines = 0
        self._in_table = False
        self._fences_close = True

    def run(self) -> list[Block]:
        skip_to = 0
        for match in _LINE.finditer(self._text):
            start, end = match.span()
            if start < skip_to:
                continue
            line = match.group()
            stripped = line.strip()
            if not stripped:
                self._close(start)
            elif stripped[0] == "#" and (heading := _HEADING.match(line.rstrip("\n"))):
                self._close(start)
                self._add_heading(len(heading.group(1)), heading.group(2) or "", start, end)
            elif ("```" in stripped or "~~~" in stripped) and (close := self._fence(line, end)):
                self._close(start)
                self._blocks.append(Block(BlockKind.CODE, start, close, self._headings.path))
                skip_to = close
            else:
                self._add_line(line, stripped[0], start, end)
        self._close(len(self._text))
        return self._blocks

    def _close(self, end: int) -> None:
        """End the running paragraph or table, if there is one."""
        if self._open_at >= 0:
            kind = BlockKind.TABLE if self._in_table else BlockKind.PARAGRAPH
            self._blocks.append(Block(kind, self._open_at, end, self._headings.path))
            self._open_at = -1

    def _add_heading(self, level: int, markup: str, start: int, end: int) -> None:
        title = heading_title(markup)
        if title:
            self._headings.enter(level, title)
        self._blocks.append(Block(BlockKind.HEADING, start, end, self._headings.path))

    def _add_line(self, line: str, first: str, start: int, end: int) -> None:
        if self._open_at >= 0 and self._open_lines == 1 and first in "=-" and not self._in_table:
            markup = self._text[self._open_at : start].strip()
            if _UNDERLINE.match(line) and markup[0] not in "-*+>" and heading_title(markup):
                self._add_heading(1 if first == "=" else 2, markup, self._open_at, end)
                self._open_at = -1
                return
        is_row = first == "|"
        if self._open_at >= 0 and is_row != self._in_table:
            self._close(start)
        if self._open_at < 0:
            self._open_at, self._open_lines, self._in_table = start, 0, is_row
        self._open_lines += 1

    def _fence(self, line: str, end: int) -> int:
        """Return where the fenced code block that `line` opens ends, or 0 if it opens none.

        A fence that is never closed would hide all headings after it, so it counts as text.
        """
        fence = _FENCE.match(line) if self._fences_close else None
        if fence is None:
            return 0
        mark = fence.group(1)
        closing = re.compile(rf"^[ \t>]*{mark}{mark[0]}*[ \t]*$", re.MULTILINE)
        match = closing.search(self._text, end)
        if match is None:
            self._fences_close = False
            return 0
        return min(match.end() + 1, len(self._text))
