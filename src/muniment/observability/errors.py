"""What the health endpoints report."""

from __future__ import annotations

from typing import Any

from muniment.errors import MunimentError, ServiceUnavailable


class NotReady(ServiceUnavailable):
    """This process cannot serve requests yet; see the failed checks."""

    code = "not_ready"

    def __init__(self, checks: list[dict[str, Any]]) -> None:
        """Take every check that was made, the failed ones and the others."""
        failed = [check for check in checks if not check["ok"]]
        super().__init__(
            " ".join(check["detail"] for check in failed),
            errors=[{"check": check["name"], "detail": check["detail"]} for check in failed],
            retry_after=5,
        )
        self.checks = checks


class ShippedFilesUnwritable(MunimentError):
    """The dashboards and rules cannot be written there."""

    code = "shipped_files_unwritable"
    title = "Not writable"


class TracingUnavailable(MunimentError):
    """Traces are to be sent to a collector, but OpenTelemetry's SDK is not installed."""

    code = "tracing_unavailable"
    title = "Tracing unavailable"
