"""Which columns of two ledgers name the same party, and which records may by those names."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from muniment.reconcile.columns import Role
from muniment.reconcile.matching.ledger.view import Ledger, TextColumn
from muniment.reconcile.matching.ledger.weights import TIE
from muniment.reconcile.matching.party_names import NameModel

Words = tuple[str, ...]
MOST_COMPARISONS = 100_000
"""Comparisons of two distinct texts, for each pair of columns: about three seconds. Beyond it only
the texts with the most rare words in common are compared."""
ALL_COMPARED = 40_000
"""Comparisons up to which every text is compared with every other: initials that share no word
with a name are surely found."""
_SEEDS_WANTED = 8
_SAMPLE = 400


@dataclass(slots=True)
class NamePair:
    """Two columns compared as names, and the distinct texts of each that may be alike."""

    left: TextColumn
    right: TextColumn
    model: NameModel
    near: dict[Words, list[tuple[float, Words]]]
    """By left text: right texts, most alike first."""
    rows: dict[Words, list[int]]
    """By right text: its records."""
    total: int

    def similarity(self, i: int, j: int) -> float:
        """Return how alike two records are by these columns."""
        return self.model.similarity(self.left.words[i], self.right.words[j])

    def best(self, text: Words) -> float:
        """Return how like a left text the likest right one is; 0 if none is much like it."""
        near = self.near.get(text)
        return near[0][0] if near else 0.0

    def tail(self, text: Words, score: float) -> float:
        """Return the share of right records at least so like a left text."""
        count = 0
        for other, candidate in self.near.get(text, ()):
            if other < score - TIE:
                break
            count += len(self.rows[candidate])
        return max(count, 1) / self.total


def seeds(left: Ledger, right: Ledger) -> list[tuple[int, int]]:
    """Return pairs that are likely right for their amount alone: it occurs once on each side.

    They only teach which columns and days belong together; they are not matches.
    """
    amounts, others = left.booked.tolist(), right.booked.tolist()
    ours, theirs = Counter(amounts), Counter(others)
    at = {a: j for j, a in enumerate(others) if theirs[a] == 1 and a}
    found = [(i, at[a]) for i, a in enumerate(amounts) if ours[a] == 1 and a in at]
    return found[:_SAMPLE]


def random_pairs(left: Ledger, right: Ledger, count: int = _SAMPLE) -> list[tuple[int, int]]:
    """Return pairs drawn evenly, the same on every run."""
    draw = np.random.default_rng(0)
    ours, theirs = draw.integers(len(left), size=count), draw.integers(len(right), size=count)
    return list(zip(ours.tolist(), theirs.tolist(), strict=True))


def name_pairs(
    left: Ledger, right: Ledger, wanted: Sequence[tuple[str, str]] | None = None
) -> list[NamePair]:
    """Return the pairs of columns that are more alike on seeds than on pairs drawn evenly.

    With too few seeds to tell, columns of role name are taken, or else all texts. Wanted pairs
    are taken as they are.
    """
    if wanted is not None:
        ours, theirs = {c.name: c for c in left.texts}, {c.name: c for c in right.texts}
        chosen = [(ours[a], theirs[b]) for a, b in wanted if a in ours and b in theirs]
        return [_pair(one, two, NameModel.learn(one.words, two.words)) for one, two in chosen[:6]]
    known, drawn = seeds(left, right), random_pairs(left, right)
    lifts: list[tuple[float, TextColumn, TextColumn, NameModel]] = []
    for one, other in itertools.product(left.texts, right.texts):
        model = NameModel.learn(one.words, other.words)
        if len(known) < _SEEDS_WANTED:
            both = (one.role is Role.name) + (other.role is Role.name)
            lifts.append((0.11 + 0.3 * both, one, other, model))
            continue
        true = np.mean([model.similarity(one.words[i], other.words[j]) for i, j in known])
        chance = np.mean([model.similarity(one.words[i], other.words[j]) for i, j in drawn])
        lifts.append((float(true - chance), one, other, model))
    if not lifts:
        return []
    best = max(lift for lift, *_ in lifts)
    # A tenth is far above what chance leaves in a few hundred pairs; a column that tells less
    # than a third of the best adds more false likeness than true.
    kept = [entry for entry in lifts if entry[0] >= max(0.1, best / 3)]
    kept.sort(key=lambda entry: -entry[0])
    return [_pair(one, other, model) for _, one, other, model in kept[:4]]


def _pair(left: TextColumn, right: TextColumn, model: NameModel) -> NamePair:
    rows: dict[Words, list[int]] = defaultdict(list)
    for position, text in enumerate(right.words):
        rows[text].append(position)
    ours = [text for text in dict.fromkeys(left.words) if text]
    theirs = [text for text in rows if text]
    if len(ours) * len(theirs) <= ALL_COMPARED:
        pairs = dict.fromkeys(ours, theirs)
    else:
        pairs = _sparse_candidates(ours, theirs, model)
    near: dict[Words, list[tuple[float, Words]]] = {}
    for text, candidates in pairs.items():
        scored = [(model.similarity(text, other), other) for other in candidates]
        near[text] = sorted((s for s in scored if s[0] >= 0.25), key=lambda s: -s[0])
    return NamePair(left, right, model, near, dict(rows), len(right.words))


def _sparse_candidates(
    ours: list[Words], theirs: list[Words], model: NameModel
) -> dict[Words, list[Words]]:
    """Return for each text the others with the most rare words, beginnings or initials shared.

    How many is what the bound on comparisons allows, but at least five.
    """
    wanted = int(np.clip(MOST_COMPARISONS // len(ours), 5, 50))
    features: dict[str, int] = {}
    a, b = _matrix(ours, features, model), _matrix(theirs, features, model)
    shape = (len(ours), len(features)), (len(theirs), len(features))
    a.resize(*shape[0])
    b.resize(*shape[1])
    turned = b.T.tocsr()
    found: dict[Words, list[Words]] = {}
    for start in range(0, len(ours), 2_000):
        product = (a[start : start + 2_000] @ turned).tocsr()
        for row in range(product.shape[0]):
            begin, end = product.indptr[row], product.indptr[row + 1]
            scores: npt.NDArray[np.float64] = product.data[begin:end]
            columns = product.indices[begin:end]
            if len(scores) > wanted:
                columns = columns[np.argpartition(-scores, wanted)[:wanted]]
            found[ours[start + row]] = [theirs[c] for c in columns.tolist()]
    return found


def _matrix(texts: list[Words], features: dict[str, int], model: NameModel) -> sparse.csr_matrix:
    """Return unit rows of word, beginning and initials weights."""
    data: list[float] = []
    columns: list[int] = []
    ends = [0]
    for text in texts:
        weights: dict[str, float] = {}
        for word in text:
            weights[word] = model.weight(word)
            if len(word) > 4 and not word.isdigit():
                weights[word[:4] + "~"] = 0.5 * model.weight(word)
        initials = "".join(w[0] for w in text if w[0].isalpha())
        for length in (2, 3, 4):
            if len(initials) >= length:
                weights[initials[:length]] = 0.5 * model.rarest
        norm = sum(w * w for w in weights.values()) ** 0.5 or 1.0
        for name, weight in weights.items():
            columns.append(features.setdefault(name, len(features)))
            data.append(weight / norm)
        ends.append(len(columns))
    return sparse.csr_matrix((data, columns, ends), shape=(len(texts), len(features)))
