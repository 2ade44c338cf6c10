"""Passages and queries in the form that the lexical tables hold.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009) is a
sum over words of `idf * tf (k1 + 1) / (tf + k1 (1 - b + b l / mean l))`. The second factor depends
on the passage alone and is stored, by the key of the word; the first is worked out by the query.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from muniment.documents.search_index import IndexedPassage
from muniment.search.words import term_hashes

K1 = 1.5
B = 0.75
TITLE_COUNTS = 2
"""A word of the title counts as so many words of the text."""
KEYS = 1_000_000_000
"""Keys are 1 to this, the longest sparsevec that pgvector allows."""
TIERS = (1.5, 1.9, 2.1)
"""Stored weights (below k1 + 1) from which on a word has a further key.

A word that half the passages hold cannot propose them all as candidates; through its tiers it
proposes those where it weighs most. Each tier holds about a quarter of the one below.
"""
MOST_QUERY_TERMS = 256


class Entry(msgspec.Struct, frozen=True):
    """One passage, ready to be written."""

    length: int
    """In words, the title counted `TITLE_COUNTS` times."""
    terms: str
    """`integer[]`, as Postgres reads it."""
    weights: str
    """`sparsevec`, as pgvector reads it."""


class QueryTerms(msgspec.Struct, frozen=True):
    """The distinct words of a query as keys."""

    terms: list[int]
    counts: list[int]
    tiers: list[int]
    """`len(TIERS)` keys for each term, one term after the other."""


def count_words(passages: Sequence[IndexedPassage]) -> list[Counter[int]]:
    """Count the words of each passage by hash: title, headings and text."""
    counted: list[Counter[int]] = []
    context: tuple[str | None, tuple[str, ...]] | None = None
    shared: Counter[int] = Counter()
    for passage in passages:
        here = (passage.title, tuple(passage.heading_path))
        if here != context:
            # Neighbours mostly share their title and headings.
            context = here
            shared = Counter(term_hashes(passage.title or "") * TITLE_COUNTS)
            shared.update(term_hashes("\n".join(passage.heading_path)))
        words = Counter(term_hashes(passage.text))
        words.update(shared)
        counted.append(words)
    return counted


def entries(org_id: UUID, counted: Sequence[Counter[int]], mean_length: float) -> list[Entry]:
    """Turn counted words into rows; `mean_length` is in words and above 0."""
    made = []
    salt = _salt(org_id)
    for words in counted:
        length = words.total()
        hashes = np.fromiter(words.keys(), dtype=np.uint64, count=len(words))
        counts = np.fromiter(words.values(), dtype=np.float64, count=len(words))
        weights = counts * (K1 + 1) / (counts + K1 * (1 - B + B * length / mean_length))
        # Two words of one passage with the same key, one case in a million: one of them is kept.
        keys, kept = np.unique(_keys(hashes, salt, 0), return_index=True)
        weights = weights[kept]
        terms = [keys]
        for tier, least in enumerate(TIERS, start=1):
            terms.append(_keys(hashes[kept][weights >= least], salt, tier))
        values = zip(keys.tolist(), weights.tolist(), strict=True)
        made.append(
            Entry(
                length,
                "{" + ",".join(map(str, np.concatenate(terms).tolist())) + "}",
                "{" + ",".join(f"{key}:{value:.4g}" for key, value in values) + f"}}/{KEYS}",
            )
        )
    return made


def query_terms(org_id: UUID, text: str) -> QueryTerms:
    """Turn a query into keys; words beyond the first `MOST_QUERY_TERMS` distinct ones are left."""
    words = Counter(term_hashes(text))
    hashes = np.fromiter(words.keys(), dtype=np.uint64, count=len(words))[:MOST_QUERY_TERMS]
    salt = _salt(org_id)
    keys, kept = np.unique(_keys(hashes, salt, 0), return_index=True)
    hashes = hashes[kept]
    counts = np.fromiter(words.values(), dtype=np.int64, count=len(words))[kept]
    tiers = [_keys(hashes, salt, tier) for tier in range(1, len(TIERS) + 1)]
    return QueryTerms(keys.tolist(), counts.tolist(), np.stack(tiers, axis=1).ravel().tolist())


def _salt(org_id: UUID) -> int:
    """Return an odd 64-bit number that is an organization's own."""
    return int.from_bytes(hashlib.blake2b(org_id.bytes, digest_size=8).digest(), "big") | 1


def _keys(hashes: NDArray[np.uint64], salt: int, tier: int) -> NDArray[np.int64]:
    """Return keys by multiply-shift hashing (Dietzfelbinger et al., 1997)."""
    shifted = hashes + np.uint64(tier * 0x9E3779B97F4A7C15 % 2**64)
    high = (shifted * np.uint64(salt)) >> np.uint64(31)
    return (high % np.uint64(KEYS)).astype(np.int64) + 1
