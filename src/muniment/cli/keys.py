"""`muniment keys`: the API keys of an organization, here or at MUNIMENT_URL."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from muniment.cli.either import answer
from muniment.cli.runtime import console, notes, one_sentence_errors, print_json
from muniment.db import Role, UnitOfWork
from muniment.tenancy.keys.change import revoke_api_key, rotate_api_key
from muniment.tenancy.keys.create import create_api_key
from muniment.tenancy.keys.listing import list_api_keys
from muniment.tenancy.keys.schemas import LONGEST_OVERLAP, ApiKey, ApiKeyPage, NewApiKey

app = typer.Typer(help="Make, show and end the API keys of the organization.", no_args_is_help=True)

Organization = Annotated[
    str | None, typer.Option("--organization", help="Organization, when there are several.")
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
KeyId = Annotated[UUID, typer.Argument(help="Id of the key, as the list shows it.")]


def register(commands: typer.Typer) -> None:
    """Add the group to the command line."""
    commands.add_typer(app, name="keys")


@app.command("list")
def list_newest(
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most keys to show.")] = 50,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """List keys, newest first; those that have ended too."""

    async def here(work: UnitOfWork, secret: bytes) -> ApiKeyPage:
        return await list_api_keys(work, created_by=None, limit=limit, cursor=None, secret=secret)

    with one_sentence_errors():
        page = answer(
            ApiKeyPage, organization, here, "GET", "/v1/api-keys", params={"limit": limit}
        )
    if json:
        print_json(page.items)
        return
    for key in page.items:
        used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
        console.print(
            f"{key.id}  {key.prefix}…  {key.role:6}  {used:16}  {key.name}{_ended(key)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.VIEWER,
    workspace: Annotated[
        UUID | None, typer.Option(help="Id of the only workspace that the key shall open.")
    ] = None,
    expires: Annotated[
        datetime | None, typer.Option(help="When the key shall end, in this machine's time.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="A rate limit of its own.")
    ] = None,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Make a key and show it, this once."""
    expires_at = None if expires is None else expires.astimezone()
    rights: dict[str, Any] = {
        "workspace_id": workspace,
        "expires_at": expires_at,
        "requests_per_minute": requests_per_minute,
    }

    async def here(work: UnitOfWork, _secret: bytes) -> NewApiKey:
        return await create_api_key(work, name, role, **rights)

    body = msgspec.to_builtins({"name": name, "role": role} | rights)
    with one_sentence_errors():
        made = answer(NewApiKey, organization, here, "POST", "/v1/api-keys", json=body)
    _show(made, json=json)


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        int,
        typer.Option(
            min=0, max=LONGEST_OVERLAP, help="Seconds for which the old key is honoured too."
        ),
    ] = 0,
    organization: Organization = None,
    json: Json = False,
) -> None:
    """Put a new key of the same rights in a key's place, and show it, this once."""

    async def here(work: UnitOfWork, _secret: bytes) -> NewApiKey:
        return await rotate_api_key(work, key_id, timedelta(seconds=overlap))

    with one_sentence_errors():
        made = answer(
            NewApiKey,
            organization,
            here,
            "POST",
            f"/v1/api-keys/{key_id}/rotate",
            json={"overlap_seconds": overlap},
        )
    _show(made, json=json)


@app.command()
def revoke(key_id: KeyId, organization: Organization = None, json: Json = False) -> None:
    """End a key at once, everywhere."""

    async def here(work: UnitOfWork, _secret: bytes) -> None:
        await revoke_api_key(work, key_id)

    with one_sentence_errors():
        answer(type(None), organization, here, "DELETE", f"/v1/api-keys/{key_id}")
    if json:
        print_json({"revoked": key_id})
    else:
        console.print(f"The key {key_id} is revoked.", highlight=False)


def _show(made: NewApiKey, *, json: bool) -> None:
    if json:
        print_json(made)
        return
    notes.print(f"The key {made.id}, shown only now:", highlight=False)
    console.print(made.key, highlight=False, markup=False, soft_wrap=True)


def _ended(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"  (revoked {key.revoked_at:%Y-%m-%d})"
    if key.expires_at is not None:
        return f"  (expires {key.expires_at:%Y-%m-%d})"
    return ""
