"""Chunks keep every word, fit the budget, and follow the structure of the text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.documents.chunk import (
    Chunk,
    Chunker,
    Page,
    contextual_text,
    embed_hash,
    embedding_text,
)
from muniment.documents.embedding_model import DEFAULT_MODEL, find_model
from muniment.documents.token_count import TokenCounter

BUDGET = 64
COUNTER = TokenCounter.from_file(find_model(DEFAULT_MODEL).tokenizer)
CHUNKER = Chunker(COUNTER, BUDGET)


def squeeze(text: str) -> str:
    return "".join(text.split())


def check(text: str, chunks: list[Chunk], budget: int = BUDGET) -> None:
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.text == text[chunk.start_offset : chunk.end_offset]
        assert chunk.text == chunk.text.strip()
        assert COUNTER.count(chunk.text) <= chunk.token_count <= budget - 2
    assert squeeze("".join(chunk.text for chunk in chunks)) == squeeze(text)
    starts = [chunk.start_offset for chunk in chunks]
    assert starts == sorted(starts)


def prose(words: int) -> str:
    return " ".join("tide." if index % 9 == 8 else "sea" for index in range(words))


LINES = st.sampled_from(
    [
        "",
        "# Top",
        "## Middle",
        "### Deep [link](x) `code`",
        "#not a heading",
        "Title\n=====",
        "---",
        "```sh",
        "```",
        "~~~~",
        "| a | b |",
        "| - | - |",
        "- item one. Item two",
        "    indented code",
        prose(5),
        prose(40),
        prose(200),
        "https://example.org/" + "a/b-c_d." * 40,
        "x" * 3000,
        "日本語の文章です。次の文。" * 20,
        "e\u0301te\u0301 naïve",
        "{{% shortcode %}}",
    ]
)
WORDS = st.text(st.characters(exclude_categories=["C"], include_characters="\n"), max_size=400)


@settings(max_examples=50000, deadline=None)
@given(st.lists(LINES, max_size=40), st.booleans())
def test_every_word_is_in_a_chunk_within_the_budget(lines: list[str], markdown: bool) -> None:
    text = "\n".join(lines)
    chunks = CHUNKER.chunk(text, title="A title", markdown=markdown)
    check(text, chunks)
    assert chunks == CHUNKER.chunk(text, title="A title", markdown=markdown)


@settings(max_examples=50000, deadline=None)
@given(WORDS)
def test_any_text_can_be_chunked(text: str) -> None:
    check(text, CHUNKER.chunk(text))


def test_sections_keep_their_headings() -> None:
    text = f"# Guide\n\nIntro {prose(15)}\n\n## Install\n\n{prose(30)}\n\n## Use\n\n{prose(30)}\n"
    chunks = CHUNKER.chunk(text)
    assert [chunk.heading_path for chunk in chunks] == [
        ("Guide",),
        ("Guide", "Install"),
        ("Guide", "Use"),
    ]
    assert chunks[1].text.startswith("## Install\n\nsea")


def test_a_heading_goes_with_what_follows_it() -> None:
    text = f"# Guide\n\n## Install\n\n### On a laptop\n\n{prose(100)}\n"
    chunks = CHUNKER.chunk(text)
    assert chunks[0].text.startswith("# Guide\n\n## Install\n\n### On a laptop\n\nsea")
    assert {chunk.heading_path for chunk in chunks} == {("Guide", "Install", "On a laptop")}
    check(text, chunks)


def test_no_chunk_ends_with_a_heading() -> None:
    text = "\n\n".join(f"## Part {part}\n\n{prose(7 * part)}" for part in range(1, 12))
    for chunk in CHUNKER.chunk(text):
        assert not chunk.text.splitlines()[-1].startswith("#")


def test_small_sections_share_a_chunk_under_their_common_heading() -> None:
    entries = "\n\n".join(f"## {letter}\n\nThe letter {letter}." for letter in "ABCDEFGH")
    chunks = CHUNKER.chunk(f"# Letters\n\n{entries}\n")
    assert len(chunks) < 8
    assert {chunk.heading_path for chunk in chunks} == {("Letters",)}


def test_a_long_section_is_cut_evenly_between_paragraphs() -> None:
    text = "# Long\n\n" + "\n\n".join([prose(12)] * 12)
    counts = [chunk.token_count for chunk in CHUNKER.chunk(text)]
    assert len(counts) > 2
    assert min(counts) > max(counts) / 2


def test_long_prose_is_cut_between_sentences() -> None:
    text = " ".join(
        f"This is sentence number {number} of a long paragraph." for number in range(60)
    )
    chunks = CHUNKER.chunk(text)
    assert len(chunks) > 5
    assert all(chunk.text.endswith("paragraph.") for chunk in chunks)
    check(text, chunks)


def test_tables_and_code_are_cut_between_lines() -> None:
    table = "| name | value |\n|---|---|\n" + "\n".join(
        f"| row {row} | {row * 7} |" for row in range(60)
    )
    code = "```python\n" + "\n".join(f"value_{line} = {line}" for line in range(60)) + "\n```"
    text = f"# Data\n\n{table}\n\n{code}\n"
    chunks = CHUNKER.chunk(text)
    lines = set(text.splitlines())
    assert all(line in lines for chunk in chunks for line in chunk.text.splitlines())
    check(text, chunks)


def test_headings_in_code_are_not_headings() -> None:
    text = "# Real\n\n```sh\n# a comment\necho hi\n```\n\nAfter.\n"
    assert {chunk.heading_path for chunk in CHUNKER.chunk(text)} == {("Real",)}


def test_a_fence_that_never_closes_hides_no_headings() -> None:
    text = f"# One\n\n{prose(40)}\n\n```\nopen\n\n# Two\n\n{prose(40)}\n"
    assert CHUNKER.chunk(text)[-1].heading_path == ("Two",)


def test_headings_are_told_without_markup() -> None:
    text = "# The `conf.d` [folder](x) *and* **more** {#anchor}\n\nText.\n"
    assert CHUNKER.chunk(text)[0].heading_path == ("The conf.d folder and more",)


def test_chunks_do_not_cross_pages() -> None:
    first, second = prose(30), prose(30)
    text = f"{first}\n\n{second}"
    pages = [Page(1, 0, len(first)), Page(2, len(first) + 2, len(text))]
    chunks = CHUNKER.chunk(text, pages=pages)
    assert [(chunk.page, chunk.text) for chunk in chunks] == [(1, first), (2, second)]


def test_the_text_given_to_the_embedder_fits_the_budget() -> None:
    heading = "A heading of a good many words about tides"
    text = f"# {heading}\n\n## Another one below it\n\n{prose(400)}\n"
    for chunk in CHUNKER.chunk(text, title="Tide tables for the narrows"):
        given_text = embedding_text(chunk, "Tide tables for the narrows")
        assert COUNTER.count(given_text) + 2 <= BUDGET


def test_context_tells_title_and_headings_that_the_text_does_not_show() -> None:
    path = ("Guide", "Install")
    assert contextual_text("sea", path, "Guide") == "Guide > Install\nsea"
    assert contextual_text("## Install\n\nsea", path, "Docs") == "Docs > Guide\n## Install\n\nsea"
    assert contextual_text("sea", (), None) == "sea"
    assert contextual_text("Tides. More", (), "Tides") == "Tides. More"
    assert len(contextual_text("sea", tuple(f"{n} " + "word " * 30 for n in range(9)), None)) < 210


def test_equal_texts_share_a_hash() -> None:
    assert embed_hash("sea") == embed_hash("sea")
    assert embed_hash("sea") != embed_hash("see")
    assert len(embed_hash("")) == 32


@pytest.mark.parametrize("text", ["", " \n\n ", "\n"])
def test_blank_text_has_no_chunks(text: str) -> None:
    assert CHUNKER.chunk(text) == []


def test_counts_are_those_of_the_tokenizer() -> None:
    text = "The U.S. naval base (est. 1887), isn't 3.5km² away — naïve_code[42] == `x`; 日本"
    text += " ... ** -- ##a"
    assert COUNTER.cost(text) == COUNTER.count(text)


@settings(max_examples=5000, deadline=None)
@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20), max_size=120))
def test_ascii_counts_are_those_of_the_tokenizer(text: str) -> None:
    assert COUNTER.cost(text) >= COUNTER.count(text)
    if max(map(len, text.split()), default=0) <= 16:
        assert COUNTER.cost(text) == COUNTER.count(text)
