"""The matches file as CSV, the same from the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from muniment.reconcile.exports.cells import csv_lines
from muniment.reconcile.exports.rows import MATCH_COLUMNS, MatchRow


def write_matches_csv(
    rows: Iterable[MatchRow], file: TextIO, *, clusters: bool = False, guarded: bool = False
) -> int:
    """Write matches as CSV (RFC 4180) with a header, and return how many.

    Args:
        rows: taken one by one.
        file: open for text, with ``newline=""``.
        clusters: write the column `cluster_id` too, as for one dataset.
        guarded: see `csv_lines`; without it cells are as they stand in the source.
    """
    width = len(MATCH_COLUMNS) + clusters
    file.write(csv_lines([MatchRow._fields[:width]]))
    count = 0
    for row in rows:
        file.write(csv_lines([row[:width]], guarded=guarded))
        count += 1
    return count
