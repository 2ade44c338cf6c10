"""Text to index terms: the same for passages and queries, and for every engine.

Letters are folded (case, accents), words of English are stemmed by Snowball (Porter2) and the most
common ones left out. Scripts that are written without spaces are cut into overlapping pairs of
characters, as Lucene's CJKAnalyzer does.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import Stemmer

# Lucene's English stop words, and what an apostrophe leaves of "it's" and "don't".
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or s such t that the"
        " their then there these they this to was will with",
    )
)

_WORD = re.compile(r"[^\W_]+")
_ACCENT = re.compile("[\u0300-\u036f]")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_LONGEST_STEMMED = 40
"""Longer tokens are no words of a language (hashes, encoded data) and stay as they are."""


class _Stemmers(threading.local):
    """One stemmer a thread: they are not made to be shared."""

    def __init__(self) -> None:
        self.english = Stemmer.Stemmer("english", 0)


_stemmers = _Stemmers()


def term_hashes(text: str) -> list[int]:
    """Return the 64-bit hash of each term of a text, in order, stop words left out.

    Any string will do. Equal hashes mean equal terms for all practical purposes.
    """
    return [code for word in _WORD.findall(_spaced(text)) if (code := _hash_of(word))]


def term_spans(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and term hash of each word of a text, in characters of that text.

    A run of a script without spaces is one span with the hash of its first pair for each pair.
    """
    for match in _WORD.finditer(text):
        word = match.group()
        start = match.start()
        if word.isascii():
            yield start, match.end(), _hash_of(word)
            continue
        for run in _runs(word):
            yield start + run[0], start + run[1], _hash_of(word[run[0] : run[1]])


def _runs(word: str) -> Iterator[tuple[int, int]]:
    """Cut a word where scripts without spaces begin or end, and those into pairs."""
    position = 0
    for match in _UNSPACED.finditer(word):
        if match.start() > position:
            yield position, match.start()
        for start in range(match.start(), max(match.end() - 1, match.start() + 1)):
            yield start, min(start + 2, match.end())
        position = match.end()
    if position < len(word):
        yield position, len(word)


def _spaced(text: str) -> str:
    if text.isascii():
        return text
    return _UNSPACED.sub(lambda match: f" {' '.join(_pairs(match.group()))} ", text)


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(max(len(run) - 1, 1))]


@lru_cache(maxsize=200_000)
def _hash_of(word: str) -> int:
    """Return the hash of a word's term, 0 for a stop word."""
    folded = _folded(word)
    if folded in STOP_WORDS:
        return 0
    if len(folded) <= _LONGEST_STEMMED:
        folded = _stemmers.english.stemWord(folded)
    digest = hashlib.blake2b(folded.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()
    bare = _ACCENT.sub("", unicodedata.normalize("NFKD", word))
    return unicodedata.normalize("NFC", bare).casefold()
