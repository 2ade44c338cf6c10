"""How alike two names of a party are, when one of them was typed by a bank.

A payer's name is cut off, set in capitals, abbreviated (``Mfg``), reduced to initials (``NSL``),
run together (``FIRESTONEIN``) or surrounded by words that are not its own (``ACH DEBIT ...``).
Words count by how rare they are in both datasets, so that surroundings and legal forms weigh
little without any list of them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

_WORD = re.compile(r"[^\W_]+")
_EDITS_OF_LENGTH = 4
"""One slip in every four letters is still the same word: fewer letters leave other words."""
_LONGEST_INITIALISM = 6
_SPELT_OUT = 0.8
"""Likeness from which the words speak for themselves, and no initials are looked for."""
_HABIT = 3
"""Texts from which a word that the other side never writes is a habit of this side (WIRE, TRF)."""
_MUTED = 0.12
"""Weight, as a share of the rarest word's, below which a word is a habit and names nobody."""
_STUMP = 0.6
"""Likeness of the first letters of a word that a text of fixed length was cut off in."""
_SERIAL = 5
"""Digits of a number that only one side writes from which it is a serial number, not a name."""


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text: lower case, no accents, no punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return tuple(_WORD.findall(plain.replace("'", "")))


@dataclass(slots=True)
class NameModel:
    """Weights of words, learnt from the texts to be compared, and a memory of comparisons."""

    weights: dict[str, float]
    rarest: float
    _likeness: dict[tuple[str, str], float] = field(default_factory=dict)
    _marks: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    _kept: dict[tuple[tuple[str, ...], tuple[str, ...]], float] = field(default_factory=dict)

    @classmethod
    def learn(cls, *sides: Iterable[Sequence[str]]) -> NameModel:
        """Weigh words by rarity.

        A word common on either side says little, so the weight is the smaller of two inverse
        document frequencies, each counted on distinct texts. What only one side writes, again
        and again or as a serial number, is its own habit and weighs a tenth.
        """
        weights: dict[str, float] = {}
        seen: list[Counter[str]] = []
        for texts in sides:
            distinct = set(map(tuple, texts))
            counts = Counter(word for text in distinct for word in set(text))
            seen.append(counts)
            total = len(distinct) + 1
            for word, count in counts.items():
                weight = math.log1p(total / count) - math.log(2.0) + 0.05
                weights[word] = min(weight, weights.get(word, weight))
        for word in weights if len(seen) > 1 else ():
            kept = [counts[word] for counts in seen if counts[word]]
            own_habit = len(kept) == 1 and kept[0] >= _HABIT
            if own_habit or (len(kept) == 1 and word.isdigit() and len(word) >= _SERIAL):
                weights[word] *= 0.1
        return cls(weights, max(weights.values(), default=1.0))

    def weight(self, word: str) -> float:
        """Return what a word says; one never seen is as rare as the rarest."""
        return self.weights.get(word, self.rarest)

    def similarity(self, left: tuple[str, ...], right: tuple[str, ...]) -> float:
        """Return from 0 to 1 how alike two texts are.

        Three parts of four are the share of the lesser text that the other has (a name among
        other words is still the name), one part the share of both (so that of two texts with the
        same name the one without more words is nearer).
        """
        if not left or not right:
            return 0.0
        if left == right:
            return 1.0
        key = (left, right)
        known = self._kept.get(key)
        if known is None:
            known = self._kept[key] = self._compare(left, right)
        return known

    def _marks_of(self, text: tuple[str, ...]) -> frozenset[str]:
        """Return beginnings of words that tell, and initials: texts with none in common differ."""
        known = self._marks.get(text)
        if known is None:
            telling = [w for w in text if self.weight(w) > _MUTED * self.rarest]
            heads = "".join(w[0] for w in telling if w[0].isalpha())
            initials = {heads[k : k + 2] for k in range(len(heads) - 1)}
            # What may be initials begins with the first letter of the name.
            short = {"^" + w[0] for w in telling if len(w) <= _LONGEST_INITIALISM and w.isalpha()}
            begins = {"^" + heads[0]} if heads else set()
            known = frozenset({w[:3] for w in telling} | initials | short | begins)
            self._marks[text] = known
        return known

    def _compare(self, left: tuple[str, ...], right: tuple[str, ...]) -> float:
        if self._marks_of(left).isdisjoint(self._marks_of(right)):
            return 0.0
        heard_left, heard_right, common = self._align(left, right)
        whole_left = sum(map(self.weight, left))
        whole_right = sum(map(self.weight, right))
        lesser = max(heard_left / whole_left, heard_right / whole_right)
        both = common / max(whole_left, whole_right)
        score = 0.75 * min(1.0, lesser) + 0.25 * min(1.0, both)
        if score >= _SPELT_OUT:
            return score
        return max(score, self._initials(left, right), self._initials(right, left))

    def _align(self, left: tuple[str, ...], right: tuple[str, ...]) -> tuple[float, float, float]:
        """Pair words greedily; return the weight heard of each text, and of both."""
        free = list(range(len(right)))
        heard_left = heard_right = common = 0.0
        for place, word in enumerate(left):
            at = next((index for index in free if right[index] == word), -1)
            best = 1.0 if at >= 0 else 0.0
            for index in free if at < 0 else ():
                alike = self._word(word, right[index])
                if not alike and place and _cut_off(word, right[index], place == len(left) - 1):
                    alike = _STUMP
                if not alike and index and _cut_off(right[index], word, index == len(right) - 1):
                    alike = _STUMP
                if alike > best:
                    best, at = alike, index
            if at < 0:
                continue
            free.remove(at)
            own, other = self.weight(word), self.weight(right[at])
            if best < 1.0:
                # A slip of the pen makes any word rare; it says no more than the word it meant.
                own = other = min(own, other)
            heard_left += best * own
            heard_right += best * other
            common += best * min(own, other)
        whole = min(sum(map(self.weight, left)), sum(map(self.weight, right)))
        run = None if common >= _SPELT_OUT * whole else self._run_together(left, right)
        if run is not None:
            heard_left, heard_right = max(heard_left, run[0]), max(heard_right, run[1])
            common = max(common, min(run))
        return heard_left, heard_right, common

    def _word(self, one: str, other: str) -> float:
        if one == other:
            return 1.0
        key = (one, other) if one < other else (other, one)
        known = self._likeness.get(key)
        if known is None:
            known = self._likeness[key] = word_likeness(*key)
        return known

    def _run_together(
        self, left: tuple[str, ...], right: tuple[str, ...]
    ) -> tuple[float, float] | None:
        """Return the weights heard where a word of one text is several of the other, joined."""
        for one, other, turned in ((left, right, False), (right, left, True)):
            for word in one:
                if len(word) < 8 or word.isdigit() or word in other:
                    continue
                for start in range(len(other) - 1):
                    if other[start][0] != word[0]:
                        continue
                    end, joined = start, ""
                    while end < len(other) and len(joined) < len(word):
                        joined += other[end]
                        end += 1
                    if end - start > 1 and joined.startswith(word):
                        heard = 0.85 * sum(map(self.weight, other[start:end]))
                        own = 0.85 * self.weight(word)
                        return (heard, own) if turned else (own, heard)
        return None

    def _initials(self, short: tuple[str, ...], full: tuple[str, ...]) -> float:
        """Return how well a word of `short` stands for the words of `full` by its letters."""
        if len(full) < 2:
            return 0.0
        best = 0.0
        for word in short:
            if not 2 <= len(word) <= _LONGEST_INITIALISM or not word.isalpha() or word in full:
                continue
            if self.weight(word) > _MUTED * self.rarest:
                best = max(best, initialism(word, full))
        if not best:
            return 0.0
        rest = [w for w in short if not (w.isalpha() and len(w) <= _LONGEST_INITIALISM)]
        strange = sum(self.weight(w) for w in rest if w not in full)
        return best / (1.0 + strange / max(self.rarest, 1e-9))


def word_likeness(one: str, other: str) -> float:
    """Return from 0 to 1 whether two words are the same one, misspelt, cut off or contracted."""
    if one.isdigit() or other.isdigit():
        return 0.0
    short, long = sorted((one, other), key=len)
    if len(short) < 2:
        return 0.0
    if long.startswith(short) and len(short) >= 3:
        return 0.9
    allowed = len(long) // _EDITS_OF_LENGTH
    if allowed and OSA.distance(short, long, score_cutoff=allowed) <= allowed:
        return max(0.6, fuzz.ratio(short, long) / 100.0)
    # Contractions keep the first letter and the order: Mfg, Intl, Dept.
    ends = short[0] == long[0] and (short[-1] == long[-1] or len(short) >= 3)
    return 0.7 if ends and short.isalpha() and _within(short, long) else 0.0


def _cut_off(stump: str, word: str, last: bool) -> bool:
    """Whether the last word of a text is the first letter or two of another."""
    return last and len(stump) < 3 and len(word) > len(stump) and word.startswith(stump)


def _within(short: str, long: str) -> bool:
    """Whether the letters of `short` stand in `long` in this order."""
    rest = iter(long)
    return all(letter in rest for letter in short)


@lru_cache(maxsize=200_000)
def initialism(word: str, full: tuple[str, ...]) -> float:
    """Return how well the letters of `word` stand for leading words of `full`.

    The first letters of words in their order count 0.85 (NSL); with letters from inside a word
    between them 0.7 (``IBI`` for Ironbridge Industrial). Two words at least are stood for.
    """
    heads = [w[0] for w in full if w[0].isalpha()]
    for start in range(len(heads)):
        if heads[start : start + len(word)] == list(word):
            return 0.85 if start == 0 else 0.75
    names = [w for w in full if w[0].isalpha()]
    if len(names) < 2 or word[0] != names[0][0]:
        return 0.0
    return 0.7 if _spells(word, names, 0, 0) else 0.0


def _spells(word: str, names: Sequence[str], at: int, started: int) -> bool:
    """Whether `word` from `at` can be spelt by starting each word of `names` in turn."""
    if at == len(word):
        return started >= 2
    if started >= len(names) or names[started][0] != word[at]:
        return False
    inside, position = at + 1, 1
    while True:
        if _spells(word, names, inside, started + 1):
            return True
        if inside >= len(word):
            return False
        position = names[started].find(word[inside], position) + 1
        if position == 0:
            return False
        inside += 1
