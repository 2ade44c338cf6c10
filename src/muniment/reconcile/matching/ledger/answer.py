"""What is answered: matches of the hypotheses that were chosen, offsets, and notes for people."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

import msgspec

from muniment.reconcile.matching.ledger.comparison import Comparison
from muniment.reconcile.matching.ledger.confidence import Rated
from muniment.reconcile.matching.ledger.explain import explain, explain_settled, money
from muniment.reconcile.matching.ledger.hypotheses import Hypothesis
from muniment.reconcile.matching.ledger.labels import stage_of
from muniment.reconcile.matching.ledger.settled import DECISION, Fixed
from muniment.reconcile.matching.ledger.solver import uses
from muniment.reconcile.matching.ledger.weights import Weights
from muniment.reconcile.matching.match import Alternative, FieldEvidence, Match, MatchStatus
from muniment.reconcile.matching.outcome import Offset, Outcome

_HOPELESS = -4.0
"""Log odds of about one in fifty, below which a pair is not looked at again."""
_QUESTIONS = 3
SURE = 0.5
"""Confidence from which a match belongs in the answer: it is more likely right than wrong."""


def matches_of(
    comparison: Comparison, chosen: list[Hypothesis], rated: list[Rated], weights: Weights
) -> list[Match]:
    """Return the pairs of the chosen hypotheses that are worth a look."""
    rows, other_rows = comparison.left.rows, comparison.right.rows
    threshold = threshold_of(comparison)
    found: list[Match] = []
    for hypothesis, (sure, rivals) in zip(chosen, rated, strict=True):
        alternatives = _alternatives(hypothesis, rivals, comparison)
        for part, confidence in zip(hypothesis.parts, sure, strict=False):
            if confidence < min(comparison.rules.review_from, threshold):
                continue
            status = MatchStatus.MATCHED if confidence >= threshold else MatchStatus.REVIEW
            found.append(
                Match(
                    int(rows[part.i]), int(other_rows[part.j]), confidence, status,
                    stage_of(part, hypothesis, comparison) or "",
                    money(part.amount, comparison.scale),
                    explain(part, hypothesis, comparison, weights), alternatives,
                )
            )  # fmt: skip
    return found


def still_open(
    found: list[Hypothesis], chosen: list[Hypothesis], right: list[int]
) -> list[Hypothesis]:
    """Return the hypotheses all of whose records nothing chosen has settled, in part or whole."""
    used = {("left", i) for h in chosen for i in h.lefts}
    used |= {resource for h in chosen for resource, share in uses(h, right).items() if share > 0}
    return [h for h in found if not any(resource in used for resource in uses(h, right))]


def open_questions(
    comparison: Comparison,
    found: list[Hypothesis],
    chosen: list[Hypothesis],
    right: list[int],
    weights: Weights,
) -> list[Match]:
    """Return for records that nothing settles the pairs worth a look, the likeliest few of each.

    Each is rated against its record staying unmatched and against its rivals for it.
    """
    by_left: dict[int, list[Hypothesis]] = defaultdict(list)
    worth_it = [h for h in found if h.parts and h.score > _HOPELESS]
    for hypothesis in still_open(worth_it, chosen, right):
        by_left[hypothesis.lefts[0]].append(hypothesis)
    matches: dict[tuple[int, int], Match] = {}
    for rivals in by_left.values():
        odds = [math.exp(h.score) for h in rivals]
        total = 1.0 + sum(odds)
        ranked = sorted(zip(odds, rivals, strict=True), key=lambda r: -r[0])[:_QUESTIONS]
        rated: list[Rated] = [([o / total] * len(h.parts), []) for o, h in ranked]
        for match in matches_of(comparison, [h for _, h in ranked], rated, weights):
            matches.setdefault((match.left_row, match.right_row), match)
    # What the best choice leaves out is a question, however likely it looks by itself.
    return [msgspec.structs.replace(m, status=MatchStatus.REVIEW) for m in matches.values()]


def threshold_of(comparison: Comparison) -> float:
    """Return the confidence from which a pair is matched."""
    wanted = comparison.rules.threshold
    return SURE if wanted is None else wanted


def settled_matches(comparison: Comparison, fixed: Fixed, weights: Weights) -> list[Match]:
    """Return the pairs that were settled before, each explained as it looks now."""
    rows, other_rows = comparison.left.rows, comparison.right.rows
    found: list[Match] = []
    if not fixed.pairs:
        return found
    explained = explain_settled([(p.i, p.j) for p in fixed.pairs], comparison, weights)
    for pair, told in zip(fixed.pairs, explained, strict=True):
        applied = fixed.applied[pair.i, pair.j]
        found.append(
            Match(
                int(rows[pair.i]), int(other_rows[pair.j]),
                1.0 if pair.stage == DECISION else pair.confidence, MatchStatus.MATCHED,
                pair.stage, money(applied, comparison.scale), pair.explanation or told,
            )
        )  # fmt: skip
    return found


def offsets_of(
    comparison: Comparison, chosen: list[Hypothesis], rated: list[Rated]
) -> list[Offset]:
    """Return the entries of one side that cancel each other."""
    found: list[Offset] = []
    for hypothesis, (sure, _) in zip(chosen, rated, strict=True):
        if hypothesis.kind == "offset":
            side = "left" if hypothesis.lefts else "right"
            rows = (comparison.left if hypothesis.lefts else comparison.right).rows
            one, other = hypothesis.lefts or hypothesis.rights
            found.append(Offset(side, int(rows[one]), int(rows[other]), sure[0]))
    return found


def _alternatives(
    hypothesis: Hypothesis, rivals: list[Hypothesis], comparison: Comparison
) -> list[Alternative]:
    """Return the pairs that lost, with what their odds against the winner make of them."""
    found: dict[tuple[int, int], float] = {}
    taken = {(part.i, part.j) for part in hypothesis.parts}
    for rival in rivals:
        gap = min(max(hypothesis.score - rival.score, -30.0), 30.0)
        share = 1.0 / (1.0 + math.exp(gap))
        for part in rival.parts:
            pair = (int(comparison.left.rows[part.i]), int(comparison.right.rows[part.j]))
            if (part.i, part.j) not in taken:
                found[pair] = max(found.get(pair, 0.0), share)
    return [Alternative(*pair, share) for pair, share in found.items()]


def compared_of(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return what was compared with what."""
    found = [(comparison.left.amount_name, comparison.right.amount_name, "amount")]
    if comparison.dates:
        found.append((*comparison.dates, "date"))
    found.extend((pair.left.name, pair.right.name, "name") for pair in comparison.names)
    return found


def notes_of(comparison: Comparison, fixed: Fixed, bounded: int, greedy_pieces: int) -> list[str]:
    """Return sentences about what was not compared, what was settled, and what was bounded.

    What was compared is in `compared_of`.
    """
    notes: list[str] = []
    if not comparison.names:
        notes.append("No two columns name the same parties: names are not compared.")
    if not comparison.dates:
        notes.append("Days are not compared: there are no dates on both sides.")
    notes.extend(comparison.claims.notes)
    if fixed.pairs:
        kept = sum(pair.stage == DECISION for pair in fixed.pairs)
        notes.append(
            f"{len(fixed.pairs)} pairs were settled before anything was weighed, {kept} of them by"
            " decisions of people; only what they leave open is matched."
        )
    if bounded:
        notes.append(
            f"For {bounded} records there are more sums than were looked at: the likeliest"
            " members and the smallest sums were."
        )
    if greedy_pieces:
        notes.append(
            f"{greedy_pieces} entangled sets of matches were too large to find the best choice in"
            " time: the surest ones were taken first."
        )
    return notes


def turned(outcome: Outcome) -> Outcome:
    """Return an outcome of exchanged sides with its sides exchanged back."""
    matches = [
        Match(
            m.right_row, m.left_row, m.confidence, m.status, m.stage, m.amount,
            [
                FieldEvidence(e.field_right, e.field_left, e.right, e.left, e.agreement, e.weight)
                for e in m.explanation
            ],
            [Alternative(a.right_row, a.left_row, a.confidence) for a in m.alternatives],
        )
        for m in outcome.matches
    ]  # fmt: skip
    sides = {"left": "right", "right": "left"}
    return replace(
        outcome,
        matches=matches,
        offsets=[Offset(sides[o.side], o.row, o.other_row, o.confidence) for o in outcome.offsets],
        compared=[(b, a, role) for a, b, role in outcome.compared],
    )
