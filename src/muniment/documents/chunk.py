"""Cutting converted text into passages that respect its structure and the embedder's budget.

The text is read as blocks (blocks.py). Blocks under one heading form a section; a section that
fits is one chunk, a longer one is cut between blocks into chunks of about equal length, and only
a block that is too long by itself is cut inside: tables and code between lines, prose between
sentences. Small neighbouring sections share a chunk under their common headings. A page break is
a cut as well, so that a citation names the right page.
"""

from __future__ import annotations

import bisect
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from muniment.documents.blocks import (
    Block,
    BlockKind,
    HeadingPath,
    Headings,
    heading_title,
    markdown_blocks,
    plain_blocks,
)
from muniment.documents.token_count import TokenCounter

DEFAULT_TOKEN_BUDGET = 256

_SPECIAL_TOKENS = 2
_LONGEST_CONTEXT = 200
# A sentence ends at its full stop, and a line before a list item ends one too.
_SENTENCE_END = re.compile(r"(?<=[.!?;:])[\"')\]]*\s+|(?<=[。！？])|\n(?=\s*(?:[-*+>|]|\d+[.)])\s)")
_LINE_END = re.compile(r"\n")
_WORD_END = re.compile(r"\s+")
_PROSE_SEPARATORS = (_SENTENCE_END, _LINE_END)
_LINE_SEPARATORS = (_LINE_END,)


class Page(msgspec.Struct, frozen=True, array_like=True):
    """Page `number` (from 1) is `text[start_offset:end_offset]`, in characters."""

    number: int
    start_offset: int
    end_offset: int


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """One retrievable passage: `text` is `document[start_offset:end_offset]`, in characters.

    `heading_path` are the headings above it, outermost first; `page` counts from 1 and is None
    where the format has no pages; `token_count` is without special tokens.
    """

    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    page: int | None
    start_offset: int
    end_offset: int
    token_count: int


class Position:
    """Where a part of a long text begins: offset, number of the next chunk, headings above."""

    def __init__(self) -> None:
        self.offset = 0
        self.ordinal = 0
        self.headings = Headings()


def embedding_text(chunk: Chunk, title: str | None) -> str:
    """Return what the embedder is given: title and headings the text does not show, then the text.

    Headings come in a line of their own, outermost first. See `embed_hash` for its identity.
    """
    return contextual_text(chunk.text, chunk.heading_path, title)


def contextual_text(text: str, heading_path: Sequence[str], title: str | None) -> str:
    """Return `text` under the headings that it does not itself begin with (see `embedding_text`).

    At most 200 characters of headings are kept, the innermost ones.
    """
    context = _context(text, heading_path, title)
    return f"{context}\n{text}" if context else text


def embed_hash(text: str) -> bytes:
    """Return the SHA-256 of a text given to the embedder; equal passages share a vector by it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Chunker:
    """Cuts texts into chunks of at most `token_budget` tokens, headings above them included.

    Special tokens count as well. Where headings are long, the text keeps half of the budget. The
    same text always gives the same chunks.
    """

    def __init__(self, counter: TokenCounter, token_budget: int = DEFAULT_TOKEN_BUDGET) -> None:
        self._counter = counter
        self._budget = token_budget - _SPECIAL_TOKENS
        # Below this a section takes in the next one beside or below it, if that fits too.
        self._small = token_budget // 6
        # Below this a section stands alone only where nothing else is on its page.
        self._tiny = token_budget // 16

    def chunk(
        self,
        text: str,
        *,
        title: str | None = None,
        pages: Sequence[Page] = (),
        markdown: bool = True,
        after: Position | None = None,
    ) -> list[Chunk]:
        """Return the chunks of `text` in order; their texts hold all of it except white space.

        Args:
            text: a converted document.
            title: its title, which counts against the budget as a heading does.
            pages: where its pages are, in order; chunks do not cross them.
            markdown: False reads `text` as paragraphs without markup.
            after: where `text` begins if it is a part of a longer one; it is moved to its end.
        """
        self._counter.learn(text)
        position = after or Position()
        blocks = markdown_blocks(text, position.headings) if markdown else plain_blocks(text)
        if pages:
            _assign_pages(blocks, pages)
        chunks: list[Chunk] = []
        for group in self._groups(text, blocks, title):
            chunk = self._to_chunk(text, group, position)
            if chunk is not None:
                chunks.append(chunk)
                position.ordinal += 1
        position.offset += len(text)
        return chunks

    def _groups(self, text: str, blocks: list[Block], title: str | None) -> Iterator[list[Block]]:
        """Yield the blocks of each chunk: pack small sections, cut large ones."""
        pending: list[Block] = []
        pending_cost = 0
        for section in _sections(blocks):
            room = self._room(section[-1].path, title)
            cost = self._measure(text, section)
            if pending and self._belongs(pending, pending_cost, section, cost, room):
                section[:0] = pending
                cost += pending_cost
            elif pending:
                yield pending
            if cost <= room:
                pending, pending_cost = section, cost
            else:
                *full, pending = self._cut(text, section, cost, room)
                yield from full
                pending_cost = sum(block.cost for block in pending)
        if pending:
            yield pending

    def _belongs(
        self, pending: list[Block], pending_cost: int, section: list[Block], cost: int, room: int
    ) -> bool:
        """Tell whether `section` shares a chunk with the blocks before it."""
        if pending_cost < self._small and _trailing_headings(pending) == len(pending):
            return True
        if pending[-1].page != section[0].page:
            return False
        if pending_cost < self._tiny or (cost < self._tiny and pending_cost + cost <= room):
            return True
        path, next_path = pending[-1].path, section[0].path
        nested = next_path[: len(path) - 1] == path[:-1]
        return nested and pending_cost < self._small and pending_cost + cost <= room

    def _room(self, path: HeadingPath, title: str | None) -> int:
        """Return the budget left for text under `path`, at least half of it."""
        context = self._counter.cost(_context("", path, title))
        return max(self._budget - context, self._budget // 2)

    def _measure(self, text: str, blocks: list[Block]) -> int:
        total = 0
        for block in blocks:
            block.cost = self._counter.cost(text[block.start : block.end])
            total += block.cost
        return total

    def _cut(self, text: str, section: list[Block], cost: int, room: int) -> list[list[Block]]:
        """Cut a section into groups of about equal cost, none above `room`."""
        target = cost / -(-cost // room)
        groups: list[list[Block]] = []
        group: list[Block] = []
        filled = 0
        for part in self._parts(text, section, room):
            # Cut where the group is nearer to its target without this part than with it.
            if group and (filled + part.cost > room or filled + part.cost / 2 > target):
                kept = _trailing_headings(group)
                if kept < len(group):
                    split = len(group) - kept
                    groups.append(group[:split])
                    group = group[split:]
                    filled = sum(block.cost for block in group)
                if group and filled + part.cost > room:
                    groups.append(group)
                    group, filled = [], 0
            group.append(part)
            filled += part.cost
        return [*groups, group]

    def _parts(self, text: str, section: list[Block], room: int) -> Iterator[Block]:
        """Yield the blocks of a section, those that are too long for a chunk in smaller parts."""
        headings = 0
        for block in section:
            # A heading stays with what follows it, so they must fit together.
            limit = max(room - headings, room // 2)
            headings = headings + block.cost if block.kind is BlockKind.HEADING else 0
            if block.cost <= limit:
                yield block
            else:
                prose = block.kind in (BlockKind.PARAGRAPH, BlockKind.HEADING)
                separators = _PROSE_SEPARATORS if prose else _LINE_SEPARATORS
                for start, end in self._split(text, block.start, block.end, limit, separators):
                    cost = self._counter.cost(text[start:end])
                    yield Block(BlockKind.PARAGRAPH, start, end, block.path, block.page, cost)

    def _split(
        self, text: str, start: int, end: int, limit: int, separators: Sequence[re.Pattern[str]]
    ) -> Iterator[tuple[int, int]]:
        """Yield spans that cost at most `limit`, cut at the first separator that makes them fit."""
        if self._counter.cost(text[start:end]) <= limit:
            yield start, end
        elif separators:
            for span in _spans(text, start, end, separators[0]):
                yield from self._split(text, *span, limit, separators[1:])
        else:
            yield from self._split_words(text, start, end, limit)

    def _split_words(
        self, text: str, start: int, end: int, limit: int
    ) -> Iterator[tuple[int, int]]:
        """Yield spans of whole words, a few to a chunk; cut words that are longer than a chunk."""
        open_at, filled = start, 0
        for word_start, word_end in _spans(text, start, end, _WORD_END):
            cost = self._counter.cost(text[word_start:word_end])
            if open_at < word_start and filled + cost > limit // 4:
                yield open_at, word_start
                open_at, filled = word_start, 0
            filled += cost
            if cost > limit:
                # Every token has at least one character.
                for position in range(word_start, word_end, limit):
                    yield position, min(position + limit, word_end)
                open_at, filled = word_end, 0
        if open_at < end:
            yield open_at, end

    def _to_chunk(self, text: str, group: list[Block], position: Position) -> Chunk | None:
        start, end = group[0].start, group[-1].end
        passage = text[start:end]
        start += position.offset + len(passage) - len(passage.lstrip())
        passage = passage.strip()
        if not passage:
            return None
        told = [block for block in group if block.kind is not BlockKind.HEADING] or group
        return Chunk(
            ordinal=position.ordinal,
            text=passage,
            heading_path=_common_path(told),
            page=told[0].page,
            start_offset=start,
            end_offset=start + len(passage),
            token_count=sum(block.cost for block in group),
        )


def _context(text: str, heading_path: Sequence[str], title: str | None) -> str:
    shown = {heading_title(line.strip("# \t")) for line in text.splitlines()[:8] if line[:1] == "#"}
    if title and text.startswith(title):
        shown.add(title)
    kept: list[str] = []
    length = 0
    for heading in reversed(dict.fromkeys((title, *heading_path))):
        if not heading or heading in shown:
            continue
        length += len(heading)
        if kept and length > _LONGEST_CONTEXT:
            break
        kept.append(heading[:_LONGEST_CONTEXT])
    return " > ".join(reversed(kept))


def _sections(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Yield runs of blocks that start at a heading or a new page."""
    section: list[Block] = []
    for block in blocks:
        if section and (block.kind is BlockKind.HEADING or block.page != section[-1].page):
            yield section
            section = []
        section.append(block)
    if section:
        yield section


def _trailing_headings(blocks: Sequence[Block]) -> int:
    count = 0
    for block in reversed(blocks):
        if block.kind is not BlockKind.HEADING:
            break
        count += 1
    return count


def _spans(
    text: str, start: int, end: int, separator: re.Pattern[str]
) -> Iterator[tuple[int, int]]:
    """Yield the stretches between the separators, each with the separator that ends it."""
    position = start
    for match in separator.finditer(text, start, end):
        if match.end() > position:
            yield position, match.end()
            position = match.end()
    if position < end:
        yield position, end


def _common_path(blocks: Sequence[Block]) -> HeadingPath:
    if len(blocks) == 1:
        return blocks[0].path
    first = min(block.path for block in blocks)
    last = max(block.path for block in blocks)
    for depth, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:depth]
    return first


def _assign_pages(blocks: Iterable[Block], pages: Sequence[Page]) -> None:
    starts = [page.start_offset for page in pages]
    for block in blocks:
        # Text before the first page belongs to it.
        block.page = pages[max(bisect.bisect_right(starts, block.start) - 1, 0)].number
