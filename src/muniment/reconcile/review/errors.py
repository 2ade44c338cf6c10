"""What can go wrong when people look at matches and decide."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ValidationFailed


class MatchNotFound(NotFound):
    """There is no such match here."""

    code = "match_not_found"
    title = "Match not found"


class DecisionConflict(MunimentError):
    """Somebody else decided meanwhile; nothing was decided. Look at the matches again."""

    code = "decision_conflict"
    status = 409
    title = "Decision conflict"


class InvalidDecisions(ValidationFailed):
    """What is asked for cannot be decided like this."""

    code = "invalid_decisions"
    title = "Invalid decisions"
