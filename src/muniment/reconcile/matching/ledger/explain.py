"""Why two records of two ledgers were matched, field by field, for people."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

from muniment.reconcile.matching.ledger.amounts import AmountModel, Relation
from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    Part,
    combinations_log,
    sum_weight,
)
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.matching.ledger.weights import Weights
from muniment.reconcile.matching.match import FieldEvidence, day_shown

_AGREEMENT = {
    Likeness.none: 0.0, Likeness.slip: 0.5, Likeness.number: 0.8, Likeness.same: 1.0,
}  # fmt: skip


def money(units: int, scale: int) -> Decimal:
    """Return minor units as a decimal."""
    return Decimal(units).scaleb(-scale)


def explain(
    part: Part, whole: Hypothesis, comparison: Comparison, weights: Weights
) -> list[FieldEvidence]:
    """Return what agreed and disagreed between the two records of a part, in bits."""
    features = comparison.features(part.i, part.j)
    left, right = comparison.left, comparison.right
    ours, theirs = int(left.amounts[part.i]), int(right.amounts[part.j])
    scale = comparison.scale
    bits = 1.0 / math.log(2.0)
    found = [
        FieldEvidence(
            left.amount_name, right.amount_name,
            str(money(ours, scale)), str(money(theirs, scale)),
            _amount_agreement(part, ours, theirs), _amount_weight(part, whole, weights) * bits,
        )
    ]  # fmt: skip
    if features.name >= 0:
        pair = max(comparison.names, key=lambda p: p.similarity(part.i, part.j))
        found.append(
            FieldEvidence(
                pair.left.name, pair.right.name,
                pair.left.values[part.i], pair.right.values[part.j],
                features.name, weights.name(features) * bits,
            )
        )  # fmt: skip
    if comparison.dates and not math.isnan(features.days):
        found.append(
            FieldEvidence(
                *comparison.dates,
                day_shown(comparison.left_days[part.i]), day_shown(comparison.right_days[part.j]),
                1.0 / (1.0 + abs(features.days)), weights.lag(features) * bits,
            )
        )  # fmt: skip
    if features.mention:
        found.append(
            FieldEvidence(
                "text", "reference", " ".join(c.number for c in left.mentions[part.i]),
                " ".join(c.key for c in right.codes[part.j]),
                _AGREEMENT[features.mention], weights.mention(features) * bits,
            )
        )  # fmt: skip
    found.extend(_evidence(part, comparison, weights, bits))
    return found


def explain_settled(
    pairs: Sequence[tuple[int, int]], comparison: Comparison, weights: Weights
) -> Iterator[list[FieldEvidence]]:
    """Return for each settled pair what agrees between its records, by the amounts as booked."""
    booked = comparison.right.booked
    model = AmountModel.learn(booked[booked != 0])
    ours, theirs = Counter(i for i, _ in pairs), Counter(j for _, j in pairs)
    sums: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for i, j in pairs:
        if ours[i] > 1:
            sums["left", i].append((i, j))
        elif theirs[j] > 1:
            sums["right", j].append((i, j))
    for i, j in pairs:
        members = sums["left", i] if ours[i] > 1 else sums.get(("right", j), [(i, j)])
        part = Part(i, j, 0, None, 0.0, comparison.features(i, j).claim)
        whole = Hypothesis("single", (part,), 0.0, (i,), (j,))
        told = explain(part, whole, comparison, weights)
        yield [_settled_amounts((i, j), members, comparison, (model, weights)), *told[1:]]


def _settled_amounts(
    pair: tuple[int, int],
    members: Sequence[tuple[int, int]],
    comparison: Comparison,
    learnt: tuple[AmountModel, Weights],
) -> FieldEvidence:
    """Return what the booked amounts of a settled pair say: their relation, or that of their sum.

    Args:
        pair: positions.
        members: the pairs settled together with it, itself among them.
        comparison: both ledgers.
        learnt: how amounts coincide, and what relations weigh.
    """
    left, right = comparison.left.booked.tolist(), comparison.right.booked.tolist()
    ours, theirs = left[pair[0]], right[pair[1]]
    share = min(abs(ours), abs(theirs)) / max(abs(ours), abs(theirs), 1)
    lefts, rights = {i for i, _ in members}, {j for _, j in members}
    model, weights = learnt
    if len(members) > 1 and sum(left[i] for i in lefts) == sum(right[j] for j in rights):
        many = [right[j] for j in rights] if len(rights) > 1 else [left[i] for i in lefts]
        free = len(right) if len(rights) > 1 else len(left)
        share = 1.0
        weight = (sum_weight(many, many) - combinations_log(free, len(many))) / len(many)
    else:
        related = model.options(ours, theirs) if ours and theirs else []
        weight = max((weights.relation(*relation) for relation in related), default=0.0)
    return FieldEvidence(
        comparison.left.amount_name, comparison.right.amount_name,
        str(money(ours, comparison.scale)), str(money(theirs, comparison.scale)),
        share, weight / math.log(2.0),
    )  # fmt: skip


def _evidence(
    part: Part, comparison: Comparison, weights: Weights, bits: float
) -> list[FieldEvidence]:
    """Return the line of evidence that names the right record best."""
    if part.claim is None:
        return []
    lines = comparison.claims.lines[part.i]
    line = max(lines, key=lambda c: (c.named.get(part.j, Likeness.none), c.amount == part.amount))
    code = " ".join(c.key for c in comparison.right.codes[part.j])
    weight = weights.claim(part.claim) * bits
    return [
        FieldEvidence(
            f"evidence row {line.row}: {line.column}", "reference", line.text, code,
            _AGREEMENT[part.claim], weight,
        )
    ]  # fmt: skip


def _amount_agreement(part: Part, ours: int, theirs: int) -> float:
    if part.relation in (None, Relation.equal):
        return 1.0
    return min(abs(ours), abs(theirs)) / max(abs(ours), abs(theirs), 1)


def _amount_weight(part: Part, whole: Hypothesis, weights: Weights) -> float:
    """Return what the amount says: its own relation, or a part of what the sum says."""
    if part.relation is None:
        return whole.constant / len(whole.parts)
    return weights.relation(part.relation, part.chance, part.rounded)
