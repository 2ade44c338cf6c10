"""What can go wrong with golden records."""

from __future__ import annotations

from muniment.errors import NotFound, ValidationFailed


class GoldenRecordNotFound(NotFound):
    """There is no such golden record here."""

    code = "golden_record_not_found"
    title = "Golden record not found"


class InvalidGoldenValues(ValidationFailed):
    """The golden record has no such columns."""

    code = "invalid_golden_values"
    title = "Invalid golden values"
