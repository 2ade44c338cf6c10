"""Objectives, for operators."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from muniment.db import UnitOfWork
from muniment.observability.objectives.report import report
from muniment.observability.objectives.schemas import ObjectiveList
from muniment.settings import Settings


@get("/v1/objectives", tags=["operator"], summary="Show how far the objectives are kept")
async def show_objectives(
    operator_uow: NamedDependency[SkipValidation[UnitOfWork]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> ObjectiveList:
    """Attainment, error budget and burn rates of each, in its window up to some seconds ago.

    Percentiles are estimated from a histogram in fixed steps. An objective whose definition was
    changed begins anew.
    """
    return ObjectiveList(await report(operator_uow, settings.objectives), datetime.now(UTC))


operator_handlers = [show_objectives]
