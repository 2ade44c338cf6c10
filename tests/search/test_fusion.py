from __future__ import annotations

from uuid import UUID

import pytest

from muniment.documents.search_index import Candidate
from muniment.search.fusion import SEMANTIC_SHARE, Weights, fuse


def candidate(number: int, lexical: float | None, semantic: float | None) -> Candidate:
    return Candidate(UUID(int=number), None, lexical, None, semantic)


def order(candidates: list[Candidate], weights: Weights | None = None) -> list[int]:
    return [one.chunk_id.int for one in fuse(candidates, weights or Weights())]


def test_the_score_is_the_published_formula() -> None:
    fused = fuse([candidate(1, 10, 0.2), candidate(2, 4, 0.6)], Weights())
    expected = {
        1: (1 - SEMANTIC_SHARE) * 1 + SEMANTIC_SHARE * 1.2 / 1.6,
        2: (1 - SEMANTIC_SHARE) * 0.4 + SEMANTIC_SHARE * 1,
    }
    assert {one.chunk_id.int: one.score for one in fused} == pytest.approx(expected)


def test_weights_can_silence_a_leg() -> None:
    candidates = [candidate(1, 10, 0.1), candidate(2, 1, 0.9)]
    assert order(candidates, Weights(lexical=1, semantic=0)) == [1, 2]
    assert order(candidates, Weights(lexical=0, semantic=1)) == [2, 1]


def test_a_passage_without_a_vector_is_neither_first_nor_last_for_it() -> None:
    candidates = [candidate(1, 5, 0.9), candidate(2, 5, 0.5), candidate(3, 5, 0.1)]
    assert order([*candidates, candidate(4, 5, None)]) == [1, 2, 4, 3]


def test_one_leg_alone_orders_by_itself() -> None:
    assert order([candidate(1, 1, None), candidate(2, 2, None)]) == [2, 1]
    assert order([candidate(1, None, 0.1), candidate(2, None, 0.2)]) == [2, 1]
    assert order([candidate(1, 0, -0.2), candidate(2, 0, -0.1)]) == [2, 1]


def test_equal_scores_are_ordered_by_id() -> None:
    assert order([candidate(2, 1, 0.5), candidate(1, 1, 0.5)]) == [1, 2]
    assert order([]) == []
