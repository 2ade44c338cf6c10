"""The stages for money: what settles what, between two ledgers, with or without evidence.

Hypotheses of every kind are rated by one model that is learnt from the two ledgers, and an integer
programme takes the best set of them that uses no record twice. A second round looks at what is
left, where fewer records are possible. The stage a match is given is how people would have found
it: exact, tolerance, adjusted (fee, discount, deduction, overpayment, slip of the pen), partial,
grouped_sum, evidence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.ledger.amounts import Relation
from muniment.reconcile.matching.ledger.claims import Claims, claims_of, own_mentions
from muniment.reconcile.matching.ledger.comparison import Comparison, candidates
from muniment.reconcile.matching.ledger.confidence import Rated, confidences, responsibilities
from muniment.reconcile.matching.ledger.explain import explain, money
from muniment.reconcile.matching.ledger.hypotheses import (
    Hypothesis,
    Part,
    groups,
    lines,
    pools,
    rate,
    singles,
)
from muniment.reconcile.matching.ledger.offsets import offsets
from muniment.reconcile.matching.ledger.references import Likeness
from muniment.reconcile.matching.ledger.residue import residue
from muniment.reconcile.matching.ledger.solver import greedy, solve
from muniment.reconcile.matching.ledger.view import Ledger, has_money, ledgers
from muniment.reconcile.matching.ledger.weights import Features, Weights, relearn
from muniment.reconcile.matching.match import Alternative, FieldEvidence, Match, MatchStatus

ROUNDS = 4
"""Of expectation maximisation; the shares move by less than a hundredth after the third."""
LEARN_FROM = 1_000
"""Left records that the shares are learnt from, drawn evenly: a share is then known to 3 %."""
SOLVER_SECONDS = 20.0
SURE = 0.5
"""Above it a match belongs in the answer: it is more likely right than wrong."""
Progress = Callable[[str, float], None]


@dataclass(slots=True)
class LedgerResult:
    """Matches, entries that cancel each other, and what was bounded."""

    matches: list[Match]
    left_offsets: list[tuple[int, int, float]] = field(default_factory=list)
    """Rows of the left dataset that cancel each other, and how sure."""
    right_offsets: list[tuple[int, int, float]] = field(default_factory=list)
    unmatched_left: list[int] = field(default_factory=list)
    """Rows in no match and no offset."""
    unmatched_right: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def reconcile_ledgers(
    left: Dataset,
    right: Dataset,
    evidence: Dataset | None = None,
    progress: Progress | None = None,
) -> LedgerResult:
    """Match two datasets that both have amounts.

    Args:
        left: payments, bank lines.
        right: invoices, ledger entries.
        evidence: lines that name both sides, remittance advice for example.
        progress: called with the name of a step and the share done.
    """
    tell = progress or (lambda _step, _share: None)
    if not (left.rows and right.rows and has_money(left) and has_money(right)):
        return LedgerResult([], notes=["no amounts on both sides"])
    tell("reading", 0.0)
    ours, theirs, scale = ledgers(left, right)
    claims = Claims()
    if evidence is not None:
        claims = claims_of(evidence, ours, theirs, scale)
        turned = claims_of(evidence, theirs, ours, scale)
        if turned.lines_each > claims.lines_each:
            # Lines are written by who pays several at once: that side is the one to settle.
            return _turned(_reconciled(theirs, ours, turned, scale, tell))
    return _reconciled(ours, theirs, claims, scale, tell)


def _reconciled(
    ours: Ledger, theirs: Ledger, claims: Claims, scale: int, tell: Progress
) -> LedgerResult:
    """Match two ledgers; the left one is taken to pay, the right one to be paid."""
    claims.mentioned = own_mentions(ours, theirs)
    comparison = Comparison.of(ours, theirs, claims)
    tell("comparing", 0.2)
    near = candidates(comparison)
    weights, found, bounded = _learn(comparison, near, tell)
    tell("assigning", 0.8)
    amounts = theirs.amounts.tolist()
    solution = solve(found, amounts, SOLVER_SECONDS)
    late, late_bounded = residue(comparison, near, solution.chosen, weights)
    chosen = solution.chosen
    if late:
        solution = solve([*chosen, *late], amounts, SOLVER_SECONDS)
        chosen = solution.chosen
    _given_the_others(found, chosen, len(theirs))
    rated = confidences(chosen, [*found, *late], amounts)
    result = _result(comparison, chosen, rated, weights, scale)
    result.notes = _notes(comparison, bounded + late_bounded, solution.greedy_pieces)
    tell("done", 1.0)
    return result


def _given_the_others(found: list[Hypothesis], chosen: list[Hypothesis], total: int) -> None:
    """Rate the hypotheses of the first round given that the other matches hold.

    They were one of all right records; with the others settled, they are one of the open ones.
    The second round was rated so from the start.
    """
    taken = {j for hypothesis in chosen for j in hypothesis.rights}
    given = math.log(total / (total - len(taken) + 1))
    for hypothesis in found:
        if hypothesis.kind != "offset":
            hypothesis.score += given * len(hypothesis.rights)


def _turned(result: LedgerResult) -> LedgerResult:
    """Return a result of exchanged sides with its sides exchanged back."""
    matches = [
        Match(
            m.right_row, m.left_row, m.confidence, m.status, m.stage, m.amount,
            [
                FieldEvidence(e.field_right, e.field_left, e.right, e.left, e.agreement, e.weight)
                for e in m.explanation
            ],
            [Alternative(a.right_row, a.left_row, a.confidence) for a in m.alternatives],
        )
        for m in result.matches
    ]  # fmt: skip
    matches.sort(key=lambda m: (m.left_row, m.right_row))
    return LedgerResult(
        matches, result.right_offsets, result.left_offsets,
        result.unmatched_right, result.unmatched_left, result.notes,
    )  # fmt: skip


def _learn(
    comparison: Comparison, near: list[list[int]], tell: Progress
) -> tuple[Weights, list[Hypothesis], int]:
    """Return weights learnt without labels, and every hypothesis rated by them."""
    weights = comparison.first_weights()
    cancelled = [
        *offsets(comparison.left, right=False),
        *offsets(comparison.right, right=True),
    ]
    found: list[Hypothesis] = []
    everyone, bounded = near, 0
    step = max(len(everyone) // LEARN_FROM, 1)
    sample = [js if i % step == 0 else [] for i, js in enumerate(everyone)]
    for round_ in range(ROUNDS):
        near = sample if round_ < ROUNDS - 1 else everyone
        found = [*singles(comparison, near, weights), *lines(comparison, near, weights)]
        for gathered in (False, True):
            pool = pools(comparison, near, weights, gathered=gathered)
            free = len(comparison.left if gathered else comparison.right)
            sums, more = groups(comparison, pool, weights, gathered=gathered, free=free)
            found.extend(sums)
            bounded = max(bounded, more)
        found.extend(cancelled)
        for hypothesis in found:
            hypothesis.score = rate(hypothesis, comparison, weights)
        if round_ < ROUNDS - 1:
            weights = _relearn(comparison, found, weights, len(everyone) // step)
        tell("learning", 0.3 + 0.5 * (round_ + 1) / ROUNDS)
    return weights, found, bounded


def _relearn(
    comparison: Comparison, found: list[Hypothesis], weights: Weights, lefts: int
) -> Weights:
    """Return weights learnt from what the present ones make probable."""
    amounts = comparison.right.amounts.tolist()
    expected: Counter[str] = Counter()
    pairs: list[tuple[float, Features, Likeness | None, Relation | None]] = []
    for share, hypothesis in responsibilities(found, greedy(found, amounts), amounts):
        if hypothesis.lefts:
            expected[hypothesis.kind] += share * len(hypothesis.lefts)  # type: ignore[assignment]
        pairs.extend(
            (share, comparison.features(p.i, p.j), p.claim, p.relation) for p in hypothesis.parts
        )
    return relearn(weights, pairs, dict(expected), lefts)


def _result(
    comparison: Comparison,
    chosen: list[Hypothesis],
    rated: list[Rated],
    weights: Weights,
    scale: int,
) -> LedgerResult:
    result = LedgerResult([])
    rows, other_rows = comparison.left.rows, comparison.right.rows
    used_left: set[int] = set()
    used_right: set[int] = set()
    for hypothesis, (sure, rivals) in zip(chosen, rated, strict=True):
        if hypothesis.kind == "offset":
            side, place = (
                (rows, result.left_offsets) if hypothesis.lefts else
                (other_rows, result.right_offsets)
            )  # fmt: skip
            one, other = hypothesis.lefts or hypothesis.rights
            place.append((int(side[one]), int(side[other]), sure[0]))
        else:
            alternatives = _alternatives(hypothesis, rivals, comparison)
            for part, confidence in zip(hypothesis.parts, sure, strict=True):
                status = MatchStatus.MATCHED if confidence >= SURE else MatchStatus.REVIEW
                result.matches.append(
                    Match(
                        int(rows[part.i]), int(other_rows[part.j]), confidence, status,
                        stage_of(part, hypothesis, comparison), money(part.amount, scale),
                        explain(part, hypothesis, comparison, weights, scale), alternatives,
                    )
                )  # fmt: skip
        used_left.update(hypothesis.lefts)
        used_right.update(hypothesis.rights)
    result.matches.sort(key=lambda m: (m.left_row, m.right_row))
    result.unmatched_left = [int(r) for k, r in enumerate(rows) if k not in used_left]
    result.unmatched_right = [int(r) for k, r in enumerate(other_rows) if k not in used_right]
    return result


def _alternatives(
    hypothesis: Hypothesis, rivals: list[Hypothesis], comparison: Comparison
) -> list[Alternative]:
    """Return the pairs that lost, with what their odds against the winner make of them."""
    found: dict[tuple[int, int], float] = {}
    taken = {(part.i, part.j) for part in hypothesis.parts}
    for rival in rivals:
        gap = min(max(hypothesis.score - rival.score, -30.0), 30.0)
        share = 1.0 / (1.0 + 2.718281828459045**gap)
        for part in rival.parts:
            pair = (int(comparison.left.rows[part.i]), int(comparison.right.rows[part.j]))
            if (part.i, part.j) not in taken:
                found[pair] = max(found.get(pair, 0.0), share)
    return [Alternative(*pair, share) for pair, share in found.items()]


def stage_of(part: Part, whole: Hypothesis, comparison: Comparison) -> str:
    """Return the name of the stage that people would say found a match."""
    features = comparison.features(part.i, part.j)
    if part.claim is not None and part.claim > Likeness.none:
        return "evidence"
    if whole.kind in ("group", "gathered", "several"):
        return "grouped_sum"
    if part.relation is Relation.part:
        return "partial"
    if part.relation is not Relation.equal:
        return "adjusted"
    return "exact" if features.days == 0 or features.mention else "tolerance"


def _notes(comparison: Comparison, bounded: int, greedy_pieces: int) -> list[str]:
    notes = [
        f"amounts: {comparison.left.amount_name} and {comparison.right.amount_name}",
        *(f"names: {p.left.name} and {p.right.name}" for p in comparison.names),
    ]
    if comparison.dates:
        notes.append(f"days: {comparison.dates[0]} and {comparison.dates[1]}")
    if comparison.claims.note:
        notes.append(comparison.claims.note)
    if bounded:
        notes.append(f"sums of {bounded} records were searched within bounds, not completely")
    if greedy_pieces:
        notes.append(f"{greedy_pieces} pieces of the assignment were settled greedily")
    return notes
