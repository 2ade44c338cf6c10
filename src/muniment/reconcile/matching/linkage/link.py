"""Record linkage without labels or configuration: people, papers, places, products.

Candidates from the likeness of whole records, levels of likeness field by field, a model learned
from those candidates, an assignment where records have one partner each, and the threshold with
the best expected F1. Each step is a module beside this one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.linkage.assignment import assign, estimate_uniqueness
from muniment.reconcile.matching.linkage.candidates import Pairs, nearest, sharing, union
from muniment.reconcile.matching.linkage.comparisons import Compared, compare_field
from muniment.reconcile.matching.linkage.decided import decisions
from muniment.reconcile.matching.linkage.describe import (
    DECISION,
    EXACT,
    PROBABILISTIC,
    Described,
    Linked,
)
from muniment.reconcile.matching.linkage.doubts import as_many_within, doubt
from muniment.reconcile.matching.linkage.fields import FieldPair, Kind
from muniment.reconcile.matching.linkage.incremental import begin
from muniment.reconcile.matching.linkage.independent import Chance, are_independent, drawn
from muniment.reconcile.matching.linkage.keys import among, find_keyed
from muniment.reconcile.matching.linkage.learned import remember, write_model
from muniment.reconcile.matching.linkage.learning import learn
from muniment.reconcile.matching.linkage.model import (
    CERTAIN,
    STRONGEST,
    Model,
    Uniqueness,
    compete,
    judge,
)
from muniment.reconcile.matching.linkage.sides import Side, prepare
from muniment.reconcile.matching.linkage.strangers import find_strangers, temper
from muniment.reconcile.matching.linkage.terms import row_products
from muniment.reconcile.matching.linkage.threshold import best_threshold
from muniment.reconcile.matching.match import Progress, silent
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import Assignment, Rules

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

KIND: Final = "linkage"


def link(
    left: Dataset,
    right: Dataset,
    *,
    rules: Rules = Rules(),
    given: Given = Given(),
    earlier: Earlier | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Return the pairs of records that belong together, the surest first.

    Args:
        left: one dataset.
        right: the other.
        rules: what somebody wants otherwise than usual.
        given: decisions of people: accepted pairs are in the answer with the confidence 1 and
            the stage `decision`, rejected ones nowhere; the model learns from both.
        earlier: what the last run found, if only the new records are to be compared.
        progress: told the name of the step that begins and the share of the work done, 0 to 1.

    Raises:
        NoSharedColumns: the two datasets have no columns that could be compared.
        NoSuchColumn: the rules name a column that is not there.
    """
    tell = progress or silent
    linked = None
    if left.rows and right.rows:
        linked = examine(left, right, rules, given, tell, earlier=earlier)
    if linked is None:
        return Outcome(KIND, [], notes=["No record has anything in common with one of the other."])
    tell("explain", 0.95)
    return Outcome(
        KIND,
        Described(left, right, linked),
        threshold=linked.threshold,
        compared=[
            (f.left.name, f.right.name, (f.right if f.kind is Kind.CONTAINED else f.left).role)
            for f in linked.fields
        ],
        notes=[*_notes(linked, rules), *linked.notes],
        model=linked.saved,
    )


def examine(
    left: Dataset,
    right: Dataset,
    rules: Rules,
    given: Given,
    tell: Progress,
    *,
    earlier: Earlier | None = None,
) -> Linked | None:
    """Find the candidates, learn the model and choose the pairs; see `Linked`.

    None where no record has anything in common with one of the other dataset.
    """
    tell("columns", 0.0)
    fields, ours, theirs = prepare(left, right, rules)
    again, notes = begin(earlier, left, right, fields)
    if again is not None:
        # It chooses as this module does, so it is asked for when it is needed.
        from muniment.reconcile.matching.linkage.relink import relink

        linked = relink(
            left, right, again, (fields, ours, theirs), rules=rules, given=given, tell=tell
        )
        return None if linked is None else replace(linked, notes=tuple(notes))
    linked = _link_all(left, right, rules, given, (fields, ours, theirs), tell=tell)
    return None if linked is None else replace(linked, notes=tuple(notes))


def _link_all(
    left: Dataset,
    right: Dataset,
    rules: Rules,
    given: Given,
    prepared: tuple[list[FieldPair], Side, Side],
    *,
    tell: Progress,
) -> Linked | None:
    """Link all records, whatever an earlier run has found."""
    fields, ours, theirs = prepared
    decided = decisions(given, left, right)
    tell("candidates", 0.1)
    keyed = find_keyed(left, right, fields, (ours.texts, theirs.texts), rules)
    found = [*candidates(fields, ours, theirs), decided.accepted, *keyed.pairs]
    i, j = union(found, right.rows)
    if not len(i):
        return None
    tell("comparisons", 0.5)
    compared = [compare_field(f, ours.texts, theirs.texts, i, j) for f in fields]
    tell("model", 0.8)
    told, seen = (among(pairs, i, j, right.rows) for pairs in (keyed.told, keyed.seen))
    known = decided.known(i, j, right.rows)
    known[told & (known == 0)] = STRONGEST
    strangers = [
        find_strangers(fields, [f.left for f in fields], ours.texts, ours.vectors),
        find_strangers(fields, [f.right for f in fields], theirs.texts, theirs.vectors),
    ]
    start = first_guess(row_products(ours.vectors, theirs.vectors, i, j), i, j)
    model, unique, doubted = _learned(
        compared,
        (i, j),
        start=start,
        chance=drawn(fields, ours, theirs),
        known=known,
        strangers=strangers,
        wanted=rules.assignment,
        sizes=(left.rows, right.rows),
    )
    linked = choose(
        *(fields, compared, (i, j), model),
        unique=unique,
        rules=rules,
        known=known,
        told=told,
        seen=seen,
    )
    if doubted:
        return linked  # Weights by level do not tell what was discounted: no later run may use it.
    learned = remember(
        model,
        compared,
        (ours.texts, theirs.texts),
        (i, j),
        unique=unique,
        threshold=linked.threshold,
    )
    return replace(linked, saved=write_model(learned))


def _learned(
    compared: list[Compared],
    pairs: Pairs,
    *,
    start: Floats,
    chance: Chance | None,
    known: Floats,
    strangers: list[npt.NDArray[np.int16]],
    wanted: Assignment,
    sizes: tuple[int, int],
) -> tuple[Model, Uniqueness, bool]:
    """Return the model, and how many partners a record may have: as told, or as it looks.

    Also whether its probabilities were discounted, see `doubt`.
    """
    i, j = pairs
    one = unique = Uniqueness(left=True, right=True)
    several = Uniqueness(left=False, right=False)
    learn_with = partial(learn, compared, i, j, known=known)
    model = learn_with(start, one, chance=chance)
    if chance is not None and not are_independent(model, compared):
        chance = None
        model = learn_with(start, one)
    if wanted is Assignment.MANY:
        unique = several
    elif wanted is Assignment.AUTO:
        unique = estimate_uniqueness(model, i, j)
        if unique == several and as_many_within(model, strangers, sizes):
            unique = one
    if unique == several and chance is None:
        model = judge(model, i, j, unique, known)
    elif unique != one:
        model = learn_with(model.probability, unique, chance=chance)
    # That a left record has one partner at most is to say that the right dataset has no
    # duplicates: only then are its records strangers to each other.
    apart = [strangers[0]] * unique.right + [strangers[1]] * unique.left
    if apart:
        model = judge(temper(model, np.concatenate(apart)), i, j, unique, known)
    if any(field.fields.kind is Kind.RECORD for field in compared):
        # Of one likeness alone, how a source writes is too large a part to compare strangers by.
        return model, unique, False
    discounted = doubt(model, strangers, sizes, unique)
    if discounted is None:
        return model, unique, False
    p = compete(discounted.score, i, j, unique, known)
    return replace(discounted, probability=p), unique, True


def choose(
    fields: list[FieldPair],
    compared: list[Compared],
    pairs: Pairs,
    model: Model,
    *,
    unique: Uniqueness,
    rules: Rules = Rules(),
    known: Floats | None = None,
    told: Flags | None = None,
    seen: Flags | None = None,
) -> Linked:
    """Return which candidates are in the answer and which are for review.

    Args:
        fields: what was compared.
        compared: and how alike it is.
        pairs: the candidates.
        model: their probabilities.
        unique: on which sides a record has one partner at most.
        rules: threshold, bounds of the review, stages.
        known: log odds known beforehand, see `learn`.
        told: pairs with a key that the rules name.
        seen: pairs with a key that was seen in the data.
    """
    i, j = pairs
    none = np.zeros(len(i), np.bool_)
    told, seen = none if told is None else told, none if seen is None else seen
    accepted = none if known is None else known >= CERTAIN
    rejected = none if known is None else known <= -CERTAIN
    # A decision settles its records: where they have one partner, no other pair is possible.
    taken = accepted.copy()
    if unique.left:
        taken |= np.isin(i, i[accepted])
    if unique.right:
        taken |= np.isin(j, j[accepted])
    chosen = assign(model, i, j, unique, ~(taken | rejected))
    p = model.probability
    threshold = rules.threshold
    if threshold is None:
        threshold = best_threshold(p[chosen], float(p[~taken].sum()))
    matched = chosen & ((p >= threshold) | told)
    shown = matched | (chosen & (p >= min(rules.review_from, threshold)))
    if not rules.stages.probabilistic:
        matched &= told | seen
        shown &= told | seen
    stage = np.where(told | seen, EXACT, PROBABILISTIC)
    stage[accepted] = DECISION
    order = np.flatnonzero(shown | accepted)
    order = order[np.argsort(-p[order], kind="stable")]
    matched |= accepted
    return Linked(
        *(fields, compared, i, j, model, unique, order, matched),
        stage.astype(np.int8),
        threshold,
    )


def candidates(fields: list[FieldPair], ours: Side, theirs: Side) -> list[Pairs]:
    """Return the pairs worth comparing: the nearest of each record, and those sharing a code."""
    forth, back = nearest(ours.vectors, theirs.vectors), nearest(theirs.vectors, ours.vectors)
    found = [forth, (back[1], back[0])]
    return found + [
        sharing(ours.texts[f.left.name], theirs.texts[f.right.name])
        for f in fields
        if f.kind in (Kind.CODE, Kind.DATE) and not f.few
    ]


def first_guess(likeness: Floats, i: Rows, j: Rows) -> Floats:
    """Return where the model starts: each other's most alike, by their lead over the others.

    A lead says more than likeness: the two most alike of an unmatched record and its nearest
    stranger are hardly more alike than the stranger after that.
    """
    first_left, second_left = _two_best(likeness, i)
    first_right, second_right = _two_best(likeness, j)
    mutual = (likeness >= first_left[i]) & (likeness >= first_right[j])
    rival = np.maximum(second_left[i], second_right[j])
    lead = (likeness - rival) / np.maximum(1 - rival, 0.05)
    return np.where(mutual, np.clip(lead, 0.01, 0.95), 0.001)


def _two_best(likeness: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Return the largest and the second largest likeness of each row (0 where there is none)."""
    order = np.lexsort((-likeness, rows))
    sorted_rows, sorted_likeness = rows[order], likeness[order]
    starts = np.flatnonzero(np.r_[True, sorted_rows[1:] != sorted_rows[:-1]])
    first = np.zeros(int(rows.max(initial=-1)) + 1)
    second = np.zeros(len(first))
    first[sorted_rows[starts]] = sorted_likeness[starts]
    several = starts[np.r_[np.diff(starts), len(order) - starts[-1:]] > 1]
    second[sorted_rows[several]] = sorted_likeness[several + 1]
    return first, second


def _notes(linked: Linked, rules: Rules) -> list[str]:
    notes = []
    if rules.assignment is Assignment.AUTO:
        sides = [
            f"a {side} record has one partner at most"
            for side, one in (("left", linked.unique.left), ("right", linked.unique.right))
            if one
        ]
        notes.append("Learned: " + (" and ".join(sides) or "records may have several partners"))
    notes.append(f"{len(linked.i)} pairs were compared.")
    return notes
