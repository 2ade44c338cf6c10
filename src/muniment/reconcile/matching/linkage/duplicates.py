"""Deduplication: which records of one dataset are the same thing, as pairs and as clusters.

The same candidates, comparisons and model as between two datasets, with each record compared with
the others of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from muniment.reconcile.columns import Dataset
from muniment.reconcile.matching.given import Earlier, Given
from muniment.reconcile.matching.linkage.clusters import (
    Judged,
    gather,
    missing_pairs,
    tangles,
)
from muniment.reconcile.matching.linkage.comparisons import Compared
from muniment.reconcile.matching.linkage.describe import (
    DECISION,
    EXACT,
    PROBABILISTIC,
    Described,
    Linked,
)
from muniment.reconcile.matching.linkage.fields import (
    FieldPair,
)
from muniment.reconcile.matching.linkage.incremental import begin
from muniment.reconcile.matching.linkage.learned import Learned, weigh_pairs, write_model
from muniment.reconcile.matching.linkage.model import CERTAIN, Model, compete
from muniment.reconcile.matching.linkage.own_pairs import (
    Candidates,
    compare_all,
    distinct_records,
    own_candidates,
    own_fields,
)
from muniment.reconcile.matching.linkage.sample import teach
from muniment.reconcile.matching.linkage.sides import Side
from muniment.reconcile.matching.linkage.threshold import best_threshold
from muniment.reconcile.matching.match import Progress, silent
from muniment.reconcile.matching.outcome import Outcome
from muniment.reconcile.rules import Rules

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

KIND: Final = "duplicates"

_HOPELESS: Final = -15.0
"""Base-2 log odds below which a pair neither is shown nor takes anything from its rivals."""

_LIKELY: Final = 0.001
"""Probability from which a pair is kept: to be shown, or named as an alternative."""


@dataclass(frozen=True)
class Weighed:
    """Pairs, what was compared of them, and what that weighs."""

    fields: list[FieldPair]
    compared: list[Compared]
    found: Candidates
    weights: npt.NDArray[np.float32]
    """Base-2 logarithms of likelihood ratios, shape (pairs, fields)."""


def find_duplicates(
    dataset: Dataset,
    *,
    rules: Rules = Rules(),
    given: Given = Given(),
    earlier: Earlier | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Return which records of a dataset are the same thing.

    A cluster is joined pair by pair, the surest first, while the evidence between all members of
    the two parts together speaks for it: one accidental likeness does not chain two clusters.
    A dataset in which nothing can be compared has no duplicates.

    Args:
        dataset: its records are compared with each other.
        rules: columns to compare, keys, threshold, bounds of the review.
        given: accepted pairs are in one cluster, rejected ones never.
        earlier: what the last run found, if only the new records are to be compared.
        progress: told the name of the step that begins and the share of the work done, 0 to 1.

    Raises:
        NoSuchColumn: the rules name a column that is not there.
    """
    tell = progress or silent
    tell("columns", 0.0)
    fields, side = own_fields(dataset, rules) if dataset.rows > 1 else ([], None)
    if side is None:
        return Outcome(KIND, [], notes=["There is nothing to compare."])
    tell("candidates", 0.1)
    again, notes = begin(earlier, dataset, None, fields)
    found = own_candidates(dataset, fields, side, rules, given, again=again)
    if not len(found.i):
        return Outcome(KIND, [], notes=["No record has anything in common with another."])
    some, place = distinct_records(side)
    pairs = place[found.i], place[found.j]
    compared = compare_all(fields, some, pairs, tell)
    tell("model", 0.7)
    if again is not None:
        learned = again.learned
    else:
        learned = teach(compared, some, pairs, found.known, rules.assignment)
    tell("clusters", 0.85)
    weights = weigh_pairs(learned, compared, (some.texts, some.texts), pairs)
    outcome = conclude(
        dataset,
        Weighed(fields, compared, found, weights),
        learned,
        rules,
        side=side,
        threshold=None if again is None else learned.threshold,
    )
    return replace(outcome, notes=[*outcome.notes, *notes])


def conclude(
    dataset: Dataset,
    weighed: Weighed,
    learned: Learned,
    rules: Rules,
    *,
    side: Side | None = None,
    threshold: float | None = None,
) -> Outcome:
    """Return matches and clusters from the weights of every pair.

    Args:
        dataset: whose records they are.
        weighed: the pairs.
        learned: what weighed them.
        rules: threshold, bounds of the review, stages.
        side: the dataset ready to be compared: records that others join are compared with each
            other too, candidates or not.
        threshold: of an earlier run; None: where the expected F1 is best.
    """
    compared = len(weighed.found.i)
    score, p = _judged(weighed, learned)
    threshold = rules.threshold if rules.threshold is not None else threshold
    if threshold is None:
        undecided = p[np.abs(weighed.found.known) < CERTAIN]
        threshold = best_threshold(undecided, float(undecided.sum()))
    if side is not None:
        good = _good(weighed.found, p, threshold, rules)
        tangle = tangles(weighed.found.i[good], weighed.found.j[good], dataset.rows)
        weighed = _completed(weighed, tangle, learned, side)
        score, p = _judged(weighed, learned)
    found = weighed.found
    good = _good(found, p, threshold, rules)
    same = np.arange(dataset.rows) if side is None else _stand_in(found, good, side)
    i, j = same[found.i], same[found.j]
    judged = Judged(
        np.minimum(i, j),
        np.maximum(i, j),
        score + found.known,
        good,
        must=found.known >= CERTAIN,
        must_not=found.known <= -CERTAIN,
    )
    cluster = gather(judged, dataset.rows)[same]
    linked = _linked(weighed, p, cluster, learned, rules=rules, threshold=threshold)
    return Outcome(
        KIND,
        Described(dataset, dataset, linked),
        clusters=_named(dataset, cluster),
        threshold=threshold,
        compared=[(f.left.name, f.right.name, f.left.role) for f in weighed.fields],
        notes=[f"{compared} pairs were compared."],
        model=write_model(msgspec.structs.replace(learned, threshold=threshold)),
    )


def _stand_in(found: Candidates, good: Flags, side: Side) -> Rows:
    """Return for each record the one that stands for it in the making of clusters.

    A copy that is equal in everything follows its first: it was compared with that one only, and
    that it was not with others speaks against nothing.
    """
    _, place = distinct_records(side)
    same = np.arange(len(place))
    apart = found.known <= -CERTAIN
    alone = np.unique(np.concatenate((found.i[apart], found.j[apart])))
    copies = good & (place[found.i] == place[found.j]) & ~np.isin(found.j, alone)
    # From the last to the first, so that of several the smallest stays.
    order = np.flatnonzero(copies)[::-1]
    same[found.j[order]] = found.i[order]
    return same


def _good(found: Candidates, p: Floats, threshold: float, rules: Rules) -> Flags:
    """Return which pairs are in the answer, if their clusters agree."""
    good = (p >= threshold) & (found.known > -CERTAIN)
    if not rules.stages.probabilistic:
        good &= found.exact | (found.known >= CERTAIN)
    return good


def _judged(weighed: Weighed, learned: Learned) -> tuple[Floats, Floats]:
    """Return the base-2 log odds and the probability of each pair."""
    score = weighed.weights.sum(axis=1, dtype=np.float64) + np.log2(learned.odds)
    settled = weighed.found.settled
    if settled is not None:
        score = np.where(np.isnan(settled), score, settled)
    return score, probabilities(score, weighed.found, learned)


def _completed(weighed: Weighed, tangle: Rows, learned: Learned, side: Side) -> Weighed:
    """Return the pairs with those of one tangle that were no candidates of each other.

    They speak for or against one cluster too.
    """
    found = weighed.found
    i, j = missing_pairs(tangle, found.i, found.j)
    if not len(i):
        return weighed
    some, place = distinct_records(side)
    pairs = place[i], place[j]
    compared = compare_all(weighed.fields, some, pairs, silent)
    weights = weigh_pairs(learned, compared, (some.texts, some.texts), pairs)
    more = np.zeros(len(i))
    settled = found.settled
    return Weighed(
        weighed.fields,
        [_joined(a, b) for a, b in zip(weighed.compared, compared, strict=True)],
        Candidates(
            np.concatenate((found.i, i)),
            np.concatenate((found.j, j)),
            np.concatenate((found.known, more)),
            np.concatenate((found.exact, more > 0)),
            None if settled is None else np.concatenate((settled, more + np.nan)),
        ),
        np.concatenate((weighed.weights, weights)),
    )


def _linked(
    weighed: Weighed,
    p: Floats,
    cluster: Rows,
    learned: Learned,
    *,
    rules: Rules,
    threshold: float,
) -> Linked:
    """Return what is to be described: the pairs of clusters, and those for review."""
    found = weighed.found
    accepted, rejected = found.known >= CERTAIN, found.known <= -CERTAIN
    together = ((cluster[found.i] == cluster[found.j]) & ~rejected) | accepted
    p = np.where(together, _through_cluster(p, found, together, len(cluster)), p)
    shown = together | ((p >= min(rules.review_from, threshold)) & ~rejected)
    if not rules.stages.probabilistic:
        shown &= together | found.exact
    stage = np.where(accepted, DECISION, np.where(found.exact, EXACT, PROBABILISTIC))
    kept = np.flatnonzero(shown | (p >= _LIKELY))
    order = np.flatnonzero(shown[kept])
    return Linked(
        weighed.fields,
        [field.at(kept) for field in weighed.compared],
        found.i[kept],
        found.j[kept],
        Model(weighed.weights[kept].astype(np.float64), [], learned.odds, p[kept]),
        learned.unique,
        order[np.argsort(-p[kept][order], kind="stable")],
        together[kept],
        stage[kept].astype(np.int8),
        threshold,
    )


def probabilities(score: Floats, found: Candidates, learned: Learned) -> Floats:
    """Return the probability of each pair.

    Its rivals are taken into account where records have one duplicate at most.
    """
    p = np.zeros(len(score))
    possible = np.flatnonzero((score > _HOPELESS) | (found.known > 0))
    i, j = found.i[possible], found.j[possible]
    known = found.known[possible]
    if not learned.unique_left:
        p[possible] = compete(score[possible], i, j, learned.unique, known)
        return p
    forth, back = np.concatenate((i, j)), np.concatenate((j, i))
    both = compete(np.tile(score[possible], 2), forth, back, learned.unique, np.tile(known, 2))
    p[possible] = both[: len(possible)]
    return p


def _through_cluster(p: Floats, found: Candidates, together: Flags, size: int) -> Floats:
    """Return the probability of pairs within clusters.

    It is the pair's own, or that both records belong to the cluster, each by its surest pair.
    """
    surest = np.zeros(size)
    np.maximum.at(surest, found.i[together], p[together])
    np.maximum.at(surest, found.j[together], p[together])
    return np.maximum(p, surest[found.i] * surest[found.j])


def _named(dataset: Dataset, cluster: Rows) -> dict[int, int]:
    """Return by row number the cluster of every record that is not alone."""
    rows = np.asarray(dataset.values("row"), np.int64)
    several = np.flatnonzero(np.bincount(cluster, minlength=len(cluster))[cluster] > 1)
    return dict(zip(rows[several].tolist(), rows[cluster[several]].tolist(), strict=True))


def _joined(one: Compared, other: Compared) -> Compared:
    """Return the pairs of both; what few values go together is not asked any more."""
    return replace(
        one,
        level=np.concatenate((one.level, other.level)),
        likeness=np.concatenate((one.likeness, other.likeness)),
        cell=None,
    )
