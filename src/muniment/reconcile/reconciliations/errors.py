"""What can go wrong with reconciliations and their rules."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ValidationFailed


class ReconciliationNotFound(NotFound):
    """There is no such reconciliation here."""

    code = "reconciliation_not_found"
    title = "Reconciliation not found"


class ReconciliationExists(MunimentError):
    """The workspace has another reconciliation of this name."""

    code = "reconciliation_exists"
    status = 409
    title = "Reconciliation exists"


class RulesChanged(MunimentError):
    """Somebody has changed the rules since you read them: read them again."""

    code = "rules_changed"
    status = 409
    title = "Rules changed"


class InvalidRules(ValidationFailed):
    """The rules name columns that the datasets do not have."""

    code = "invalid_rules"
    title = "Invalid rules"
