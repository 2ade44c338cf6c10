"""What commands share: the database of this machine, progress bars, and how errors read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from muniment.db import Database, TenantScope
from muniment.db.errors import MigrationsPending
from muniment.db.installation import Installation, installation, schema_revision, upgrade
from muniment.errors import MunimentError
from muniment.settings import Settings
from muniment.tenancy.authentication import local_scope
from muniment.tenancy.first_start import ensure_first_organization

T = TypeVar("T")

console = Console()
"""What a command answers."""
notes = Console(stderr=True)
"""Progress and remarks, kept apart so that answers can be piped."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work, on uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn an error of ours into one sentence on stderr and exit code 1."""
    try:
        yield
    except MunimentError as error:
        notes.print(f"[bold red]Error:[/] {error.detail}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def ready_installation(settings: Settings) -> Iterator[Installation]:
    """Give this machine's database with its schema up to date.

    The embedded database is upgraded on the way; one that others run is not.

    Raises:
        MigrationsPending: the schema of an external database is older than this version.
    """
    with installation(settings) as target:
        if target.embedded:
            current, expected = schema_revision(target)
            if current != expected:
                upgrade(target)
        else:
            current, expected = schema_revision(target)
            if current != expected:
                raise MigrationsPending
        yield target


@asynccontextmanager
async def open_database(target: Installation, settings: Settings) -> AsyncIterator[Database]:
    """Open the pools for a command and make the first organization if there is none."""
    async with target.open(
        settings, statement_timeout=settings.worker_statement_timeout
    ) as database:
        key = await ensure_first_organization(database)
        if key is not None:
            print_first_key(key)
        yield database


def print_first_key(key: str) -> None:
    """Show the owner's key of a new installation, the only time that it can be seen."""
    notes.print(
        "A new installation: the organization [bold]My organization[/] was created.\n"
        f"Its owner's API key, shown only now: [bold]{key}[/]",
        highlight=False,
        soft_wrap=True,
    )


async def scope_of_command(database: Database, organization: str | None) -> TenantScope:
    """Return the scope a local command works in; see `tenancy.authentication.local_scope`."""
    return await local_scope(database, organization)


class RateColumn(ProgressColumn):
    """How many units a second."""

    def render(self, task: Task) -> Text:
        """Return the rate of a progress bar's task."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


def progress_bars() -> Progress:
    """Return progress bars with count, rate and remaining time, on stderr."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=notes,
        speed_estimate_period=10,
    )
