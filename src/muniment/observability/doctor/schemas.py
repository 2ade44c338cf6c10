"""What the doctor answers."""

from __future__ import annotations

from typing import Literal

import msgspec

from muniment.db.doctor import Finding


class CheckOutcome(msgspec.Struct, frozen=True):
    """One check that was made."""

    id: str
    title: str
    """What should hold."""
    ok: bool
    """Whether it found nothing."""
    ms: float
    """Milliseconds that it took."""
    skipped: str | None
    """Why it was not made, if so: something that it needs is missing."""


class DoctorReport(msgspec.Struct, frozen=True):
    """All findings, the worst first."""

    status: Literal["ok", "warnings", "errors"]
    findings: list[Finding]
    checks: list[CheckOutcome]
