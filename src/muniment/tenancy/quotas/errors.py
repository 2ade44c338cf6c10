"""Why an organization gets no more."""

from __future__ import annotations

from muniment.errors import MunimentError


class QuotaExceeded(MunimentError):
    """Your organization's tier allows no more documents or bytes."""

    code = "quota_exceeded"
    status = 403
    title = "Quota exceeded"
