"""What the caller's organization uses."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from muniment.db import UnitOfWork
from muniment.settings import Settings
from muniment.tenancy.permissions import Action
from muniment.tenancy.quotas.schemas import Usage, UsageLimits
from muniment.tenancy.quotas.usage import FileLimit, read_standing


@get("/v1/usage", tags=["usage"], summary="Show usage and limits", action=Action.USAGE_READ)
async def show_usage(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> Usage:
    """Documents and bytes as of now, and what the organization's tier allows."""
    standing = await read_standing(uow)
    tier = settings.tiers.of(standing.tier)
    return Usage(
        documents=standing.documents,
        bytes=standing.bytes,
        tier=standing.tier,
        limits=UsageLimits(
            documents=tier.max_documents,
            bytes=tier.max_bytes,
            file_bytes=FileLimit.of(standing.tier, settings.tiers, settings.max_upload_bytes).bytes,
            requests_per_minute=tier.requests_per_minute,
        ),
    )


handlers = [show_usage]
