from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.search.highlights import MOST_HIGHLIGHTS, highlights
from muniment.search.words import term_hashes, term_spans


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("running", "runs"),
        ("Café", "cafe"),
        ("NAÏVE", "naive"),
        ("Straße", "strasse"),
        ("file_name", "file name"),
        ("Große Übersicht", "grosse ubersicht"),
        ("ﬁle", "file"),
    ],
)
def test_spellings_of_one_term(one: str, other: str) -> None:
    assert term_hashes(one) == term_hashes(other)


def test_stop_words_are_no_terms() -> None:
    assert term_hashes("to be or not to be, and it's the") == term_hashes("")


def test_scripts_without_spaces_are_cut_into_pairs() -> None:
    assert set(term_hashes("全文")) <= set(term_hashes("支持全文检索"))
    assert len(term_hashes("支持全文检索")) == 5
    assert term_hashes("中") == term_hashes(" 中 ")


@given(st.text())
def test_spans_and_terms_agree(text: str) -> None:
    spans = list(term_spans(text))
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    assert {code for *_, code in spans if code} <= set(term_hashes(text))


def test_highlights_are_ranges_of_the_text() -> None:
    text = "Wings: the wing of a plane. A winged plane, Ünïcode wing"
    found = highlights("wings plane", text)
    assert [text[start:end] for start, end in found] == [
        "Wings",
        "wing",
        "plane",
        "winged plane",
        "wing",
    ]


def test_highlights_end_somewhere() -> None:
    words = ["needle", "hay"] * 1000
    random.Random(0).shuffle(words)
    assert len(highlights("needle", " ".join(words))) == MOST_HIGHLIGHTS
    assert highlights("the", " ".join(words)) == []


@given(st.text(), st.text())
def test_no_text_is_too_odd_to_highlight(query: str, text: str) -> None:
    ranges = highlights(query, text)
    assert all(start < end for start, end in ranges)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))
