"""What asking the doctor may end with."""

from __future__ import annotations

from muniment.errors import NotFound


class UnknownCheck(NotFound):
    """The doctor has no such check; the full report lists those that there are."""

    code = "unknown_check"
