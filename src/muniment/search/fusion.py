"""Two legs to one order.

The legs' scores are fused by a convex combination after theoretical min-max scaling, "TM2C2" of
Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (ACM TOIS 42, 2023):
each score is scaled by the least value it can have (0 for BM25, -1 for a cosine) and the greatest
that the query met, and the semantic leg has the weight 0.8, the value that the paper found robust
over collections. Unlike reciprocal rank fusion it keeps how much better one passage is than the
next; unlike plain min-max scaling it does not depend on how many candidates there are, and a leg
that cannot tell its candidates apart hardly moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Annotated
from uuid import UUID

import msgspec

from muniment.documents.search_index import Candidate

SEMANTIC_SHARE = 0.8

Weight = Annotated[float, msgspec.Meta(ge=0, le=1000)]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much each leg counts in a hybrid search; 1 and 1 is the balance that was measured."""

    lexical: Weight = 1.0
    semantic: Weight = 1.0


class Fused(msgspec.Struct, frozen=True):
    """A candidate with its place in the result; `score` is 0 to 1, comparable in one result."""

    chunk_id: UUID
    score: float
    candidate: Candidate


def fuse(candidates: Sequence[Candidate], weights: Weights) -> list[Fused]:
    """Return the candidates best first; equal scores are ordered by chunk id.

    Passages that have no vector yet are given the median of the others' semantic scores: they
    neither lead nor trail because of it.
    """
    lexical_share = (1 - SEMANTIC_SHARE) * weights.lexical
    semantic_share = SEMANTIC_SHARE * weights.semantic
    lexical_top = max((one.lexical_score or 0.0 for one in candidates), default=0.0)
    cosines = [one.semantic_score for one in candidates if one.semantic_score is not None]
    semantic_top = max(cosines, default=0.0)
    unknown = median(cosines) if cosines else 0.0
    whole = (lexical_share if lexical_top > 0 else 0.0) + (semantic_share if cosines else 0.0)

    def score(one: Candidate) -> float:
        total = 0.0
        if lexical_top > 0:
            total += lexical_share * (one.lexical_score or 0.0) / lexical_top
        if cosines:
            cosine = unknown if one.semantic_score is None else one.semantic_score
            total += semantic_share * (cosine + 1) / (semantic_top + 1)
        return total / whole if whole > 0 else 0.0

    fused = [Fused(one.chunk_id, score(one), one) for one in candidates]
    fused.sort(key=lambda one: (-one.score, one.chunk_id))
    return fused
