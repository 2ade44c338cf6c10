"""`muniment admin organizations` and its neighbours: the installation as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar, cast, get_args
from uuid import UUID

import typer
from rich.table import Column, Table

from muniment.cache.limits import RateLimiter
from muniment.cli.runtime import (
    console,
    notes,
    one_sentence_errors,
    open_database,
    print_json,
    print_whole,
    progress_bars,
    run,
)
from muniment.db import Database
from muniment.db.installation import ready_installation
from muniment.settings import Settings, load_settings
from muniment.tenancy.authentication import local_scope
from muniment.tenancy.members.invitations import send_link
from muniment.tenancy.operators.keys import (
    OperatorKey,
    create_operator_key,
    list_operator_keys,
    revoke_operator_key,
)
from muniment.tenancy.operators.organizations import (
    Operator,
    OrganizationFilter,
    change_organization,
    create_organization,
    find_organization,
    list_organizations,
    resume_organization,
    suspend_organization,
)
from muniment.tenancy.operators.schemas import CreatedOrganization, OperatedOrganization
from muniment.tenancy.people.addresses import normalise_email
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.quotas.recount import Recount, count_organizations, recount_usage
from muniment.tenancy.quotas.usage import readable
from muniment.tier_settings import TierName

T = TypeVar("T")

OPERATOR = Operator("operator:cli")
_PAGE = 100

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Wanted = Annotated[
    str, typer.Argument(help="Id of the organization, or its name if only it has it.")
]
Tier = Annotated[str, typer.Option(help="Its limits: free, pro or enterprise.")]

organizations = typer.Typer(help="All organizations of this installation.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the group `admin`."""
    app.add_typer(organizations, name="organizations")
    app.command("create-operator-key")(create_operator_key_command)
    app.command("operator-keys")(operator_keys_command)
    app.command("revoke-operator-key")(revoke_operator_key_command)
    app.command("recount-usage")(recount_usage_command)


@organizations.command("list")
def list_command(
    name: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only those of this tier.")] = None,
    suspended: Annotated[
        bool | None, typer.Option(help="Only those that are suspended, or that are not.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most organizations to show.")] = 100,
    json: Json = False,
) -> None:
    """Show organizations, newest first, with what each uses."""
    wanted = OrganizationFilter(name, suspended, None if tier is None else _tier(tier))

    async def work(database: Database, secret: bytes) -> list[OperatedOrganization]:
        found: list[OperatedOrganization] = []
        cursor: str | None = None
        while len(found) < limit:
            size = min(_PAGE, limit - len(found))
            async with database.operator() as uow:
                page = await list_organizations(
                    uow, wanted, limit=size, cursor=cursor, secret=secret
                )
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    found = _run(work)
    if json:
        print_json(found)
    else:
        print_whole(_table(found))


@organizations.command("create")
def create_command(
    name: Annotated[str, typer.Argument(help="What the organization is called.")],
    tier: Tier = "free",
    owner_email: Annotated[
        str | None, typer.Option(help="Invite this address as its owner; else a key is made.")
    ] = None,
    json: Json = False,
) -> None:
    """Make an organization and show the way into it, this once."""
    settings = load_settings()
    limits = _tier(tier)

    async def work(database: Database, _secret: bytes) -> CreatedOrganization:
        email = None if owner_email is None else normalise_email(owner_email)
        entrance = await create_organization(database, OPERATOR, name, limits, email)
        async with database.operator() as uow:
            made = await find_organization(uow, entrance.scope.org_id)
        sent = None
        if entrance.invitation is not None:
            sent = await send_link(
                Mailer(settings),
                RateLimiter.in_memory(),
                settings,
                entrance.scope,
                entrance.invitation,
            )
        return CreatedOrganization(made, sent, entrance.api_key)

    created = _run(work)
    if json:
        print_json(created)
        return
    notes.print(f"The organization {created.organization.id} was created.", highlight=False)
    if created.invitation is not None:
        notes.print("Hand this link over to its owner; it works once, for seven days:")
        console.print(created.invitation.accept_url, highlight=False, soft_wrap=True)
    else:
        notes.print("Its owner's API key, shown only now:")
        console.print(created.api_key, highlight=False, soft_wrap=True)


@organizations.command("set-tier")
def set_tier_command(organization: Wanted, tier: Tier, json: Json = False) -> None:
    """Give an organization the limits of another tier; nothing is deleted."""
    wanted = _tier(tier)

    async def change(database: Database, org_id: UUID) -> None:
        async with database.operator() as uow:
            await change_organization(uow, OPERATOR, org_id, None, wanted)

    _change(organization, change, json=json)


@organizations.command("suspend")
def suspend_command(
    organization: Wanted,
    reason: Annotated[str, typer.Option(help="Why; a note for operators.")],
    json: Json = False,
) -> None:
    """Let nobody of an organization in any more; nothing is deleted."""

    async def change(database: Database, org_id: UUID) -> None:
        async with database.operator() as uow:
            await suspend_organization(uow, OPERATOR, org_id, reason)

    _change(organization, change, json=json)


@organizations.command("resume")
def resume_command(organization: Wanted, json: Json = False) -> None:
    """Let a suspended organization work again."""

    async def change(database: Database, org_id: UUID) -> None:
        async with database.operator() as uow:
            await resume_organization(uow, OPERATOR, org_id)

    _change(organization, change, json=json)


def create_operator_key_command(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "made by the operator",
    days: Annotated[
        int | None, typer.Option(min=1, help="Days that it is of use; for ever if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key for the operator's endpoints and show it, this once."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work(database: Database, _secret: bytes) -> str:
        async with database.operator() as uow:
            return await create_operator_key(uow, name, expires_at=expires_at)

    key = _run(work)
    if json:
        print_json({"operator_key": key, "expires_at": expires_at})
    else:
        console.print(key, highlight=False, soft_wrap=True)


def operator_keys_command(json: Json = False) -> None:
    """Show the operator keys, newest first; never the keys themselves."""

    async def work(database: Database, _secret: bytes) -> list[OperatorKey]:
        async with database.operator() as uow:
            return await list_operator_keys(uow)

    keys = _run(work)
    if json:
        print_json(keys)
        return
    table = Table("Prefix", "Name", "Made", "Expires", "Revoked")
    for key in keys:
        table.add_row(
            key.prefix, key.name, *map(_day, (key.created_at, key.expires_at, key.revoked_at))
        )
    print_whole(table)


def revoke_operator_key_command(
    key: Annotated[str, typer.Argument(help="Id or visible prefix of the key.")], json: Json = False
) -> None:
    """End an operator key; it is refused from now on."""

    async def work(database: Database, _secret: bytes) -> OperatorKey:
        async with database.operator() as uow:
            return await revoke_operator_key(uow, key)

    revoked = _run(work)
    if json:
        print_json(revoked)
    else:
        notes.print(f"The key {revoked.prefix}… ({revoked.name}) is revoked.", highlight=False)


def recount_usage_command(
    organization: Annotated[
        str | None, typer.Option(help="Id or name of the only one to recount.")
    ] = None,
    json: Json = False,
) -> None:
    """Count documents and bytes anew, tell where the counts were wrong, and mend them."""

    async def work(database: Database, _secret: bytes) -> tuple[int, list[Recount]]:
        only = None
        if organization is not None:
            only = (await local_scope(database, organization)).org_id
        total = 1 if only is not None else await count_organizations(database)
        seen, drifted = 0, []
        with progress_bars() as bars:
            bar = bars.add_task("organizations", total=total)
            async for recount in recount_usage(database, OPERATOR.actor, only=only):
                seen += 1
                if recount.drifted:
                    drifted.append(recount)
                bars.advance(bar)
        return seen, drifted

    seen, drifted = _run(work)
    if json:
        print_json({"organizations": seen, "drifted": drifted})
        return
    for recount in drifted:
        console.print(
            f"{recount.name}: {recount.documents_before:,} → {recount.documents:,} documents, "
            f"{recount.bytes_before:,} → {recount.bytes:,} bytes",
            highlight=False,
        )
    console.print(f"{seen:,} organizations, {len(drifted):,} mended.", highlight=False)


def _change(
    organization: str, change: Callable[[Database, UUID], Awaitable[None]], *, json: bool
) -> None:
    async def work(database: Database, _secret: bytes) -> OperatedOrganization:
        org_id = (await local_scope(database, organization)).org_id
        await change(database, org_id)
        async with database.operator() as uow:
            return await find_organization(uow, org_id)

    changed = _run(work)
    if json:
        print_json(changed)
    else:
        print_whole(_table([changed]))


def _run(work: Callable[[Database, bytes], Awaitable[T]]) -> T:
    """Run work on this machine's installation."""

    async def opened() -> T:
        async with _installation(load_settings()) as (database, secret):
            return await work(database, secret)

    with one_sentence_errors():
        return run(opened())


@asynccontextmanager
async def _installation(settings: Settings) -> AsyncIterator[tuple[Database, bytes]]:
    with ready_installation(settings) as target:
        async with open_database(target, settings) as database:
            yield database, target.secret


def _tier(name: str) -> TierName:
    if name not in get_args(TierName):
        raise typer.BadParameter(f"{name} is no tier: free, pro or enterprise.")
    return cast("TierName", name)


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def _table(found: list[OperatedOrganization]) -> Table:
    names = ("Id", "Name", "Tier", "Documents", "Size", "Members", "Last active", "Suspended")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for each in found:
        table.add_row(
            str(each.id),
            each.name,
            each.tier,
            f"{each.usage.documents:,}",
            readable(each.usage.bytes),
            f"{each.usage.members:,}",
            _day(each.last_active_at),
            _day(each.suspended_at),
        )
    return table
