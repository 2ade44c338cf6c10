"""Labels whose values come from outside the program's text, held to a fixed number."""

from __future__ import annotations

OTHER = "(other)"
"""What the values beyond the bound are counted as, together."""
LONGEST = 100


class Bounded:
    """The first so many distinct values of a label; those that come later are all one.

    A kind of job or a code of an error is a word of some version of the program, but not always
    of this one, so that their number is only nearly bounded.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        """Return the value, or `OTHER`."""
        if value in self._known:
            return value
        if len(self._known) >= self._most or len(value) > LONGEST:
            return OTHER
        self._known.add(value)
        return value
