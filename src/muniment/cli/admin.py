"""`muniment admin`: what the operator of this machine may do without a key."""

from __future__ import annotations

from typing import Annotated

import typer

from muniment.cli.runtime import (
    console,
    local_session,
    one_sentence_errors,
    print_json,
    run,
)
from muniment.db import Role
from muniment.settings import Settings, load_settings
from muniment.tenancy.keys.create import create_api_key

app = typer.Typer(help="Act as the operator of this installation.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the group a group while it has one command."""


@app.command("create-key")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")] = "made by the operator",
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.OWNER,
    organization: Annotated[
        str | None, typer.Option(help="Organization, when there are several.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Make an API key and show it, this once; for when the first one is lost."""
    with one_sentence_errors():
        key = run(_create(load_settings(), name, role, organization))
    if json:
        print_json({"api_key": key, "role": role})
    else:
        console.print(key, highlight=False, soft_wrap=True)


async def _create(settings: Settings, name: str, role: Role, organization: str | None) -> str:
    async with (
        local_session(settings, organization) as local,
        local.database.unit_of_work(local.scope) as work,
    ):
        return (await create_api_key(work, name, role)).key
