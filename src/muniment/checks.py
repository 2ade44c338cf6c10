"""Every check of the doctor, room by room."""

from __future__ import annotations

from muniment.cache.checks import checks as cache_checks
from muniment.db.checks import checks as database_checks
from muniment.db.doctor import DoctorCheck
from muniment.documents.checks import checks as document_checks
from muniment.jobs.checks import checks as job_checks
from muniment.observability.checks import checks as observability_checks
from muniment.search.checks import checks as search_checks
from muniment.tenancy.checks import checks as tenancy_checks

CHECKS: tuple[DoctorCheck, ...] = (
    *database_checks,
    *cache_checks,
    *job_checks,
    *document_checks,
    *search_checks,
    *tenancy_checks,
    *observability_checks,
)
"""In the order in which they are made."""
