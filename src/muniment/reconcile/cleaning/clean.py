"""The second half of loading: strings as they stand in the source become clean, typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from muniment.reconcile.cleaning.changes import Changes
from muniment.reconcile.cleaning.dates import Dates
from muniment.reconcile.cleaning.numbers import clean_numbers
from muniment.reconcile.cleaning.words import clean_text, spaces
from muniment.reconcile.columns import (
    DECIMAL_DIGITS,
    ROW,
    Column,
    ColumnType,
    TextCleaning,
    rows_at_a_time,
)
from muniment.reconcile.inference.plan import Plan
from muniment.reconcile.inference.profile import EMPTY_WORDS, THREADS, Distinct, Profile
from muniment.reconcile.inference.text import FALSE_WORDS, TRUE_WORDS

_WHY_ODD: Final = {
    ColumnType.decimal: "no number",
    ColumnType.integer: "no whole number",
    ColumnType.number: "no number",
    ColumnType.date: "no date",
    ColumnType.boolean: "neither yes nor no",
    ColumnType.text: "",
}

_ARROW: Final = {
    ColumnType.text: pa.string(),
    ColumnType.integer: pa.int64(),
    ColumnType.number: pa.float64(),
    ColumnType.date: pa.date32(),
    ColumnType.boolean: pa.bool_(),
}


class _Cleaner:
    """Cleans one column, batch by batch, and keeps the account."""

    def __init__(self, plan: Plan, profile: Profile) -> None:
        self.plan = plan
        self.profile = profile
        self.changes = Changes()
        self.distinct = Distinct()
        self.rows = 0
        self.empty = 0
        self._dates = Dates(plan)

    @property
    def type(self) -> pa.DataType:
        if self.plan.type is ColumnType.decimal:
            return pa.decimal128(DECIMAL_DIGITS, self.plan.scale)
        return _ARROW[self.plan.type]

    def clean(self, raw: pa.Array) -> pa.Array:
        values = self._without_words_for_nothing(raw)
        result, odd = self._typed(values)
        if odd is not None:
            self.changes.note_odd(raw, odd, self.rows + 1, _WHY_ODD[self.plan.type])
        self.empty += pc.sum(pc.is_null(values)).as_py() or 0
        self.rows += len(raw)
        if self.profile.distinct.exact_values() is None:
            return result  # cleaning changes an estimate of so many by less than its error
        kept = pc.drop_null(result)
        if self.plan.type is not ColumnType.text:
            kept = pc.cast(pc.unique(kept), pa.string())
        self.distinct.add(kept)
        return result

    def _without_words_for_nothing(self, raw: pa.Array) -> pa.Array:
        nothing = pa.scalar(None, pa.string())
        wanted = TextCleaning.empty_words not in self.plan.without
        marked = pc.is_in(pc.utf8_trim_whitespace(raw), value_set=pa.array(EMPTY_WORDS))
        if wanted and pc.any(marked).as_py():
            values = pc.if_else(marked, nothing, raw)
            self.changes.mark("empty_words", raw, values, marked)
            raw = values
        return pc.if_else(pc.equal(pc.utf8_trim_whitespace(raw), ""), nothing, raw)

    def _typed(self, values: pa.Array) -> tuple[pa.Array, pa.Array | None]:
        kind = self.plan.type
        if kind is ColumnType.text:
            return clean_text(values, self.plan.role, self.changes, self.plan.without), None
        tidy = spaces(values, self.changes)
        if kind is ColumnType.date:
            return self._dates.clean(tidy, self.changes)
        if kind is ColumnType.boolean:
            return self._yes_no(tidy)
        return clean_numbers(tidy, self.plan, self.changes)

    def _yes_no(self, values: pa.Array) -> tuple[pa.Array, pa.Array]:
        lower = pc.utf8_lower(values)
        yes = pc.is_in(lower, value_set=pa.array(sorted(TRUE_WORDS)))
        no = pc.is_in(lower, value_set=pa.array(sorted(FALSE_WORDS)))
        known = pc.or_(yes, no)
        result = pc.if_else(known, yes, pa.scalar(None, pa.bool_()))
        self.changes.mark("boolean", values, result, known)
        return result, pc.and_(pc.is_valid(values), pc.invert(known))

    def column(self) -> Column:
        """Describe the column as it is now."""
        plan, profile = self.plan, self.profile
        distinct = profile.distinct
        if distinct.exact_values() is not None:
            distinct = self.distinct
        written = {
            "date_ymd": "%Y%m%d" if plan.compact_dates else "%Y-%m-%d",
            "date_dmy": "%d%m%Y" if plan.compact_dates else "%d.%m.%Y",
            "date_mdy": "%m%d%Y" if plan.compact_dates else "%m/%d/%Y",
            "date_words": "%d %B %Y",
        }
        cleanings = self.changes.cleanings()
        forms = [written[done.action] for done in cleanings if done.action in written]
        is_date = plan.type is ColumnType.date
        return Column(
            name=plan.name,
            type=plan.type,
            role=plan.role,
            index=profile.index,
            reason=plan.reason,
            certainty=plan.certainty,
            overridden=plan.override is not None,
            override=plan.override,
            key_rank=plan.key_rank,
            rows=self.rows,
            empty=self.empty,
            odd=self.changes.odd,
            distinct=min(distinct.count, self.rows - self.empty - self.changes.odd),
            mean_length=profile.length / profile.filled if profile.filled else 0.0,
            scale=plan.scale if plan.type is ColumnType.decimal else 0,
            currency=plan.currency,
            unit=plan.unit,
            date_format=(" | ".join(forms) or "%Y-%m-%d") if is_date else None,
            cleanings=cleanings,
            odd_values=tuple(self.changes.odd_values),
        )


def clean(
    originals: Iterable[pa.RecordBatch],
    target: Path,
    plans: Sequence[Plan],
    profiles: Sequence[Profile],
) -> tuple[Column, ...]:
    """Write the typed columns of a staged file and return their descriptions.

    Args:
        originals: the strings of the source, a batch at a time.
        target: the Parquet file to write.
        plans: how each column is read.
        profiles: what the inference found.
    """
    cleaners = [_Cleaner(plan, found) for plan, found in zip(plans, profiles, strict=True)]
    schema = pa.schema(
        [
            pa.field(ROW, pa.int64(), nullable=False),
            *(pa.field(one.plan.name, one.type) for one in cleaners),
        ]
    )
    row = 0
    with (
        # A file of our own: where the disk is full, the writer would leave its one open.
        pa.OSFile(str(target), "wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        for batch in originals:
            numbers = pa.array(np.arange(row + 1, row + 1 + batch.num_rows, dtype=np.int64))
            columns = pool.map(_Cleaner.clean, cleaners, batch.columns)
            writer.write_batch(pa.record_batch([numbers, *columns], schema=schema))
            row += batch.num_rows
    return tuple(one.column() for one in cleaners)


def string_batches(originals: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a staged file, a batch at a time."""
    with pq.ParquetFile(originals) as file:
        yield from file.iter_batches(batch_size=rows_at_a_time(len(file.schema_arrow.names)))
