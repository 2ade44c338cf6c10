"""What commands share: the database of this machine, progress bars, and how errors read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
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
from rich.table import Table
from rich.text import Text

from muniment.db import Database, TenantScope
from muniment.db.installation import Installation, ready_installation
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


def print_whole(table: Table) -> None:
    """Print a table with nothing left out; a terminal that is too narrow breaks its lines."""
    Console(width=max(console.width, 200)).print(table, soft_wrap=True)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turn an error of ours into one sentence on stderr and exit code 1."""
    try:
        yield
    except MunimentError as error:
        notes.print(f"[bold red]Error:[/] {error.detail}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


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
        f"Its owner's API key, shown only now: [bold]{key}[/]\n"
        "To sign in in a browser: [bold]muniment admin create-user YOU@EXAMPLE.ORG --role owner[/]",
        highlight=False,
        soft_wrap=True,
    )


@dataclass(frozen=True, slots=True)
class LocalSession:
    """What a command on this machine works with."""

    database: Database
    scope: TenantScope
    secret: bytes


@asynccontextmanager
async def local_session(
    settings: Settings, organization: str | None
) -> AsyncIterator[LocalSession]:
    """Open this machine's installation as the owner of an organization; see `local_scope`."""
    with ready_installation(settings) as target:
        async with open_database(target, settings) as database:
            scope = await local_scope(database, organization)
            yield LocalSession(database, scope, target.secret)


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
