"""`muniment jobs schedules`, `reschedule` and `unschedule`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
import typer
from msgspec import UNSET
from rich.table import Table

from muniment.cli.either import answer
from muniment.cli.jobs import Json, Organization
from muniment.cli.runtime import console, one_sentence_errors, print_json, print_whole
from muniment.db import UnitOfWork
from muniment.job_oversight import TenancyOversight
from muniment.jobs.schedules.library import change_schedule, list_schedules, remove_schedule
from muniment.jobs.schedules.schemas import Schedule, ScheduleChange, SchedulePage

_OVERSIGHT = TenancyOversight()
_PAGE = 100

ScheduleId = Annotated[UUID, typer.Argument(help="Id of the schedule, as the list shows it.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to the group `jobs`."""
    for command in (schedules, reschedule, unschedule):
        commands.command()(command)


def schedules(organization: Organization = None, json: Json = False) -> None:
    """List what is enqueued again and again, such as the sync of a folder each night."""
    with one_sentence_errors():
        found = _all(organization)
    if json:
        print_json(found)
        return
    if not found:
        console.print("Nothing recurs. `muniment ingest FOLDER --schedule ...` makes it.")
        return
    table = Table("id", "name", "kind", "schedule", "next (UTC)", "last (UTC)", show_lines=False)
    for each in found:
        last = "never" if each.last_at is None else f"{each.last_at:%Y-%m-%d %H:%M}"
        coming = f"{each.next_at:%Y-%m-%d %H:%M}" if each.enabled else "disabled"
        timing = f"{each.cron} ({each.timezone})"
        table.add_row(str(each.id), each.name, each.kind, timing, coming, last)
    print_whole(table)


def reschedule(
    schedule_id: ScheduleId,
    *,
    cron: Annotated[str | None, typer.Option(help="New cron expression, five fields.")] = None,
    timezone: Annotated[str | None, typer.Option(help="New time zone, by IANA name.")] = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it comes due at all.")
    ] = None,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Change when a schedule comes due, or whether it does."""
    change = ScheduleChange(
        UNSET if cron is None else cron,
        UNSET if timezone is None else timezone,
        UNSET if enable is None else enable,
    )
    if change == ScheduleChange():
        raise typer.BadParameter("Say what to change: --cron, --timezone, --enable or --disable.")

    async def here(work: UnitOfWork, _secret: bytes) -> Schedule:
        return await change_schedule(work, schedule_id, change, _OVERSIGHT)

    with one_sentence_errors():
        changed = answer(
            Schedule,
            organization,
            here,
            "PATCH",
            f"/v1/schedules/{schedule_id}",
            json=msgspec.to_builtins(change),
        )
    if json:
        print_json(changed)
        return
    state = f"next at {changed.next_at:%Y-%m-%d %H:%M} UTC" if changed.enabled else "disabled"
    console.print(f"{changed.name}: {changed.cron} ({changed.timezone}), {state}", highlight=False)


def unschedule(schedule_id: ScheduleId, organization: Organization = None) -> None:
    """Let something recur no more; jobs that were enqueued stay."""

    async def here(work: UnitOfWork, _secret: bytes) -> None:
        await remove_schedule(work, schedule_id, _OVERSIGHT)

    with one_sentence_errors():
        answer(type(None), organization, here, "DELETE", f"/v1/schedules/{schedule_id}")
    console.print("It does not recur any more.")


def _all(organization: str | None) -> list[Schedule]:
    found: list[Schedule] = []
    cursor: str | None = None
    while True:

        async def here(
            work: UnitOfWork, secret: bytes, cursor: str | None = cursor
        ) -> SchedulePage:
            return await list_schedules(work, limit=_PAGE, cursor=cursor, secret=secret)

        parameters = {"limit": _PAGE} | ({} if cursor is None else {"cursor": cursor})
        page = answer(SchedulePage, organization, here, "GET", "/v1/schedules", params=parameters)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
