"""Where the words of a query stand in a passage."""

from __future__ import annotations

from muniment.search.words import term_hashes, term_spans

MOST_HIGHLIGHTS = 64
"""Ranges given for one passage; they are for the eye, which needs no more."""


def highlights(query: str, text: str) -> list[tuple[int, int]]:
    """Return half-open ranges of characters (code points) of `text`, in order, without overlap.

    A range covers words that share their stem with a word of the query; neighbours that are
    separated by one character, or none, are one range.
    """
    wanted = set(term_hashes(query))
    ranges: list[tuple[int, int]] = []
    if not wanted:
        return ranges
    for start, end, code in term_spans(text):
        if code not in wanted:
            continue
        if ranges and start <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        elif len(ranges) == MOST_HIGHLIGHTS:
            break
        else:
            ranges.append((start, end))
    return ranges
