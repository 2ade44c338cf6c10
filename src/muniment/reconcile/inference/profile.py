"""What there is to know of a column before deciding on it, gathered from all its values."""

from __future__ import annotations

import heapq
import os
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.inference.formats import LONGEST, plain_signs, shape_counts

EMPTY_WORDS: Final = (
    "NULL", "null", "(null)", "#NULL!", "N/A", "n/a", "#N/A", "NaN", "nan", "<NA>", "None", "\\N",
    "-", "--", "#REF!", "#DIV/0!", "#VALUE!", "#NAME?", "#NUM!",
)  # fmt: skip
"""Ways to write that there is no value. 'Null' is a surname and 'NA' Namibia: not among them."""

THREADS: Final = min(4, os.cpu_count() or 1)
"""Columns that are worked on at a time; each holds a batch of its column several times over."""

_SAMPLE: Final = 2048
"""Values that are looked at one by one, spread over the column."""

_EXACT: Final = 65_536
_SMALLEST: Final = 16_384
"""Hashes kept to estimate distinct values (k minimum values): an error of 1/sqrt(k), 0.8 %."""

_SHAPES: Final = 4096


_POSITIONS: Final = 512
_WEIGHTS: Final = np.random.default_rng(1).integers(1, 2**63, _POSITIONS, np.uint64) | np.uint64(1)


def hashes(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each string, the same in every process; values have no nulls.

    A sum of the bytes, each times a random number of its position (multilinear hashing, Lemire
    and Kaser 2014), and the finalizer of splitmix64; vectorized, for there are millions.
    """
    values = values.filter(pc.greater(pc.binary_length(values), 0))
    if not len(values):
        return np.empty(0, np.uint64)
    _, offset_buffer, data_buffer = values.buffers()
    first = values.offset
    offsets = np.frombuffer(offset_buffer, np.int32)[first : first + len(values) + 1]
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    starts = (offsets[:-1] - offsets[0]).astype(np.int64)
    places = np.arange(len(data), dtype=np.int64) - np.repeat(starts, np.diff(offsets))
    # Beyond 512 bytes positions repeat: long texts that differ only by a swap there collide.
    sums = np.add.reduceat((data + np.uint64(1)) * _WEIGHTS[places % _POSITIONS], starts)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        sums = (sums ^ (sums >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(sums ^ (sums >> np.uint64(31)), dtype=np.uint64)


class Distinct:
    """Counts distinct strings in bounded memory.

    Exact up to 65,536 distinct values; above that by the k-th smallest of their hashes
    (Bar-Yossef et al. 2002, 'Counting distinct elements in a data stream').
    """

    def __init__(self) -> None:
        self._exact: set[str] | None = set()
        self._smallest: npt.NDArray[np.uint64] = np.empty(0, np.uint64)

    def add(self, values: pa.Array) -> None:
        """Count values, each of them once or more often; there are no nulls."""
        if self._exact is not None:
            self._exact.update(pc.unique(values).to_pylist())
            if len(self._exact) <= _EXACT:
                return
            values = pa.array(list(self._exact), pa.string())
            self._exact = None
        # In slices: hashing takes some forty times the memory of the strings.
        slices = [values.slice(start, 8192) for start in range(0, len(values), 8192)]
        found = np.concatenate([hashes(part) for part in slices] or [self._smallest[:0]])
        if len(self._smallest) == _SMALLEST:
            found = found[found < self._smallest[-1]]
        self._smallest = np.unique(np.concatenate([self._smallest, found]))[:_SMALLEST]

    @property
    def count(self) -> int:
        """Distinct values seen."""
        if self._exact is not None:
            return len(self._exact)
        return int((_SMALLEST - 1) / (float(self._smallest[-1]) / 2.0**64))

    def exact_values(self) -> set[str] | None:
        """Return the values, if there are not too many."""
        return self._exact


@dataclass(slots=True)
class Profile:
    """A column of strings, described."""

    name: str
    index: int = 0
    rows: int = 0
    empty: int = 0
    marked_empty: int = 0
    """Of the empty ones, those that were written as a word such as NULL."""
    wordy: int = 0
    """Values without a digit, and those too long to be typed."""
    special: int = 0
    """Values that are not ASCII."""
    length: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    rare_shapes: int = 0
    distinct: Distinct = field(default_factory=Distinct)
    sample: list[str] = field(default_factory=list)
    _stride: int = 1

    @property
    def filled(self) -> int:
        """Values that are not empty."""
        return self.rows - self.empty

    def add(self, values: pa.Array) -> None:
        """Take in more rows."""
        self.rows += len(values)
        values = trimmed(values)
        marked = pc.is_in(values, value_set=pa.array(EMPTY_WORDS))
        nothing = pc.or_(pc.is_null(values), pc.equal(values, ""))
        nothing = pc.or_kleene(nothing, marked)
        self.marked_empty += pc.sum(marked).as_py() or 0
        values = values.filter(pc.invert(nothing.fill_null(True)))
        self.empty += len(nothing) - len(values)
        if not len(values):
            return
        self.length += pc.sum(pc.utf8_length(values)).as_py()
        self.special += len(values) - pc.sum(pc.string_is_ascii(values)).as_py()
        self._take_sample(values)
        self.distinct.add(values)
        self._take_shapes(values)

    def _take_sample(self, values: pa.Array) -> None:
        """Keep every n-th value, n doubling whenever there are too many."""
        self.sample.extend(values.take(np.arange(0, len(values), self._stride)).to_pylist())
        while len(self.sample) > _SAMPLE * 2:
            self.sample = self.sample[::2]
            self._stride *= 2

    def _take_shapes(self, values: pa.Array) -> None:
        if self.special:
            values = plain_signs(values)
        short = pc.less_equal(pc.binary_length(values), LONGEST)
        typed = pc.and_(short, pc.match_substring_regex(values, pattern="[0-9]"))
        kept = values.filter(typed)
        self.wordy += len(values) - len(kept)
        self.shapes.update(shape_counts(kept))
        if len(self.shapes) > _SHAPES * 2:
            most = heapq.nlargest(_SHAPES, self.shapes.items(), key=lambda item: item[1])
            self.rare_shapes += self.shapes.total() - sum(count for _, count in most)
            self.shapes = Counter(dict(most))


def trimmed(values: pa.Array) -> pa.Array:
    """Return values without spaces of any kind at their ends."""
    return pc.utf8_trim_whitespace(values)


def profile(names: Iterable[str], batches: Iterable[pa.RecordBatch]) -> list[Profile]:
    """Describe the columns of strings that come in batches, from all their values."""
    found = [Profile(name, index) for index, name in enumerate(names)]
    # Arrow and numpy release the interpreter: columns are looked at side by side.
    with ThreadPoolExecutor(THREADS) as pool:
        for batch in batches:
            deque(pool.map(Profile.add, found, batch.columns), maxlen=0)
    return found
