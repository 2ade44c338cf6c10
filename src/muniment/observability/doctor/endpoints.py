"""The doctor over HTTP, for operators."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from muniment.observability.doctor.run import Doctor
from muniment.observability.doctor.schemas import DoctorReport


@get("/v1/doctor", tags=["operator"], summary="Examine the installation")
async def get_doctor(
    doctor: NamedDependency[SkipValidation[Doctor]],
    check: Annotated[
        str | None, QueryParameter(max_length=100, description="Id of the only check to make.")
    ] = None,
) -> DoctorReport:
    """What is wrong, how bad it is, what was measured, and what to do about it.

    It takes seconds, at most thirty; who asks meanwhile is given the same report.
    """
    return await doctor.report(check)


operator_handlers = [get_doctor]
