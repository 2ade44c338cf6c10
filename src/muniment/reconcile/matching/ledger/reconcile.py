"""The stages for money: what settles what, between two ledgers, with or without evidence.

What people decided, what an earlier run matched and what named keys join is settled first.
Hypotheses of every kind among the rest are rated by one model that is learnt from the two
ledgers, and an integer programme takes the best set of them that uses no amount twice. A second
round looks at what is left, where fewer records are possible. The stage a match is given is how
people would have found it (see labels).

A run with `Earlier` compares only records that are open: it differs from a full run where a new
record is a better partner of a matched one, or its sum needs one; what it finds it rates by the
weights of the full run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.keyed import Keyed, keyed_matches
from muniment.reconcile.matching.ledger.answer import (
    SURE,
    compared_of,
    matches_of,
    notes_of,
    offsets_of,
    open_questions,
    settled_matches,
    still_open,
    threshold_of,
    turned,
)
from muniment.reconcile.matching.ledger.claims import Claims, claims_of, own_mentions
from muniment.reconcile.matching.ledger.comparison import Comparison, candidates, date_pair
from muniment.reconcile.matching.ledger.confidence import confidences
from muniment.reconcile.matching.ledger.hypotheses import Hypothesis
from muniment.reconcile.matching.ledger.learning import learn, rated
from muniment.reconcile.matching.ledger.residue import residue, restricted
from muniment.reconcile.matching.ledger.saved import Saved
from muniment.reconcile.matching.ledger.settled import (
    DECISION,
    Fixed,
    Settled,
    positions,
    settle,
)
from muniment.reconcile.matching.ledger.solver import solve
from muniment.reconcile.matching.ledger.view import Ledger, Wanted, has_money, ledgers
from muniment.reconcile.matching.ledger.weights import Weights
from muniment.reconcile.matching.match import Progress
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import Rules

SOLVER_SECONDS = 20.0
_USUAL = Rules()
_NOTHING = Given()


@dataclass(frozen=True, slots=True)
class _Case:
    """The whole question; the left ledger is taken to pay, the right one to be paid."""

    left: Ledger
    right: Ledger
    scale: int
    claims: Claims
    wanted: Wanted
    fixed: Fixed
    rules: Rules
    saved: Saved | None
    turned: bool = False

    def exchanged(self, claims: Claims) -> _Case:
        """Return the same question with its sides exchanged."""
        return replace(
            self, left=self.right, right=self.left, claims=claims, wanted=self.wanted.turned(),
            fixed=self.fixed.turned(), turned=True,
        )  # fmt: skip


def reconcile_ledgers(
    left: Dataset,
    right: Dataset,
    evidence: Dataset | None = None,
    *,
    rules: Rules = _USUAL,
    given: Given = _NOTHING,
    earlier: Earlier | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Match two datasets that both have amounts.

    Args:
        left: payments, bank lines.
        right: invoices, ledger entries.
        evidence: lines that name both sides, remittance advice for example.
        rules: columns, keys, stages and bounds, where somebody wants them otherwise than usual.
        given: accepted pairs use up the amounts they apply; rejected ones are in no sum either.
        earlier: its matches stay unless a new decision touches one of their records, its pairs in
            review are open again, and the weights it learnt are used.
        progress: told the step that begins and the share done, 0 to 1.
    """
    tell = progress or (lambda _step, _share: None)
    if not (left.rows and right.rows and has_money(left) and has_money(right)):
        return Outcome("ledger", [], notes=["There are no amounts on both sides to compare."])
    tell("reading", 0.0)
    saved = Saved.decode(earlier.model) if earlier else None
    wanted = Wanted.of(left, right, rules.compare)
    if rules.compare is None and saved is not None:
        wanted = saved.wanted()
    ours, theirs, scale = ledgers(left, right, wanted)
    case = _Case(ours, theirs, scale, Claims(), wanted, Fixed(), rules, saved)
    case = replace(case, fixed=_settled(case, given, earlier))
    if evidence is None or not rules.stages.evidence:
        return _reconciled(case, tell)
    claims = claims_of(evidence, ours, theirs, scale)
    back = claims_of(evidence, theirs, ours, scale)
    if back.names_both >= claims.names_both and back.lines_each > claims.lines_each:
        # Lines are written by who pays several at once: that side is the one to settle.
        return turned(_reconciled(case.exchanged(back), tell))
    return _reconciled(replace(case, claims=claims), tell)


def _settled(case: _Case, given: Given, earlier: Earlier | None) -> Fixed:
    """Return what needs no weighing, in this order: decisions, earlier matches, keys."""
    left, right, rules = case.left, case.right, case.rules
    accepted = list(positions(given.accepted, left, right).values())
    rejected = list(positions(given.rejected, left, right).values())
    pairs = [Settled(i, j, 1.0, DECISION) for i, j in accepted]
    if earlier is not None:
        pairs += _kept(case, earlier, accepted, rejected)
    if rules.keys:
        wanted = case.wanted
        dates = wanted.dates if wanted.names is not None else date_pair(left, right)
        keyed = Keyed(
            left.dataset, right.dataset, (left.amount_name, right.amount_name),
            (left.booked.tolist(), right.booked.tolist()), case.scale, dates,
            (left.days[dates[0]].tolist(), right.days[dates[1]].tolist()) if dates else None,
            ({p.i + 1 for p in pairs}, {p.j + 1 for p in pairs}),
            {(i + 1, j + 1) for i, j in rejected},
        )  # fmt: skip
        pairs += [
            Settled(m.left_row - 1, m.right_row - 1, m.confidence, m.stage, m.explanation)
            for m in keyed_matches(keyed, rules)
        ]
    return settle(pairs, rejected, left, right)


def _kept(
    case: _Case,
    earlier: Earlier,
    accepted: list[tuple[int, int]],
    rejected: list[tuple[int, int]],
) -> list[Settled]:
    """Return the matches of the earlier run whose records no new decision touches."""
    threshold = SURE if case.rules.threshold is None else case.rules.threshold
    by_pair = {(a, b): (sure, stage) for a, b, sure, stage in earlier.pairs if sure >= threshold}
    found = positions(by_pair, case.left, case.right)
    at = {found[pair]: told for pair, told in by_pair.items() if pair in found}
    new = [p for p in accepted if p not in at] + [p for p in rejected if p in at]
    lefts, rights = {i for i, _ in new}, {j for _, j in new}
    return [
        Settled(i, j, sure, stage)
        for (i, j), (sure, stage) in at.items()
        if stage != DECISION and i not in lefts and j not in rights
    ]


def _reconciled(case: _Case, tell: Progress) -> Outcome:
    case.claims.mentioned = own_mentions(case.left, case.right)
    whole = Comparison.of(case.left, case.right, case.claims, case.wanted)
    whole.scale, whole.rules, whole.forbidden = case.scale, case.rules, case.fixed.forbidden
    comparison = restricted(whole) if case.fixed.pairs else whole
    tell("comparing", 0.2)
    near = candidates(comparison)
    if case.saved is not None and case.saved.turned == case.turned:
        weights = case.saved.weights()
        found, bounded = rated(comparison, near, weights)
    else:
        weights, found, bounded = learn(comparison, near, case.fixed, tell)
    tell("assigning", 0.7)
    amounts = case.right.amounts.tolist()
    solution = solve(found, amounts, SOLVER_SECONDS)
    late, late_bounded, last = residue(comparison, near, solution.chosen, weights)
    _reshape(found, weights, last)
    chosen = solution.chosen
    if late:
        solution = solve([*chosen, *late], amounts, SOLVER_SECONDS)
        chosen = solution.chosen
    _given_the_others(found, chosen, comparison.free[1])
    # So rated, some that were left out are likelier than not: their records are open still.
    likely = [hypothesis for hypothesis in [*found, *late] if hypothesis.score > 0]
    more = solve(still_open(likely, chosen, amounts), amounts, SOLVER_SECONDS)
    chosen = [*chosen, *more.chosen]
    sure = confidences(chosen, [*found, *late], amounts)
    tell("explaining", 0.9)
    weights = last
    matches = matches_of(comparison, chosen, sure, weights)
    matches += open_questions(comparison, [*found, *late], chosen, amounts, weights)
    matches += settled_matches(whole, case.fixed, weights)
    matches.sort(key=lambda m: (-m.confidence, m.left_row, m.right_row))
    notes = notes_of(comparison, case.fixed, bounded + late_bounded, solution.greedy_pieces)
    model = Saved.of(comparison, weights, turned=case.turned).encode()
    tell("done", 1.0)
    return Outcome(
        "ledger", matches, offsets=offsets_of(comparison, chosen, sure),
        threshold=threshold_of(comparison), compared=compared_of(comparison), notes=notes,
        model=model,
    )  # fmt: skip


def _reshape(found: list[Hypothesis], weights: Weights, last: Weights) -> None:
    """Rate the hypotheses of the first round by what the second one has learnt."""
    open_ = math.log(weights.unsettled / last.unsettled)
    worth = {k: open_ + math.log(last.shape[k] / share) for k, share in weights.shape.items()}
    for hypothesis in found:
        hypothesis.score += worth[hypothesis.kind]


def _given_the_others(found: list[Hypothesis], chosen: list[Hypothesis], total: int) -> None:
    """Rate the hypotheses of the first round given that the other matches hold.

    They were one of all open right records; with the others settled, they are one of fewer. The
    second round was rated so from the start.
    """
    taken = {j for hypothesis in chosen for j in hypothesis.rights}
    given = math.log(total / max(total - len(taken) + 1, 1)) if total else 0.0
    for hypothesis in found:
        if hypothesis.kind != "offset":
            hypothesis.score += given * len(hypothesis.rights)
