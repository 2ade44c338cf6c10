"""Work that is done on this machine's installation, or at MUNIMENT_URL if that is set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from muniment.cli.runtime import local_session, open_database, run
from muniment.db import UnitOfWork
from muniment.db.installation import ready_installation
from muniment.settings import Settings, load_settings

T = TypeVar("T")


def answer(
    kind: type[T],
    organization: str | None,
    here: Callable[[UnitOfWork, bytes], Awaitable[T]],
    method: str,
    path: str,
    **arguments: Any,
) -> T:
    """Do the work at MUNIMENT_URL if it is set, or else `here`, in the local database.

    `here` is given a transaction of the organization and the secret that signs cursors.
    """
    settings = load_settings()
    if settings.url is not None:
        return _remotely(settings, kind, method, path, arguments)

    async def work() -> T:
        async with (
            local_session(settings, organization) as local,
            local.database.unit_of_work(local.scope) as work,
        ):
            return await here(work, local.secret)

    return run(work())


def operator_answer(
    kind: type[T],
    here: Callable[[UnitOfWork], Awaitable[T]],
    method: str,
    path: str,
    **arguments: Any,
) -> T:
    """Do the same as the operator; at MUNIMENT_URL the key must be an operator's."""
    settings = load_settings()
    if settings.url is not None:
        return _remotely(settings, kind, method, path, arguments)

    async def work() -> T:
        with ready_installation(settings) as target:
            async with open_database(target, settings) as database, database.operator() as work:
                return await here(work)

    return run(work())


def _remotely(
    settings: Settings, kind: type[T], method: str, path: str, arguments: dict[str, Any]
) -> T:
    from muniment.cli.remote import call  # slow to load

    return msgspec.convert(call(settings, method, path, **arguments), kind)
