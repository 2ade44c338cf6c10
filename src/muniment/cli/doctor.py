"""`muniment doctor`: what is wrong with the installation, here or at MUNIMENT_URL."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Annotated, Any

import msgspec
import typer

from muniment.checks import CHECKS
from muniment.cli.runtime import console, notes, one_sentence_errors, print_json, run
from muniment.db.doctor import Examination, Finding, Severity, plural
from muniment.db.installation import Installation, installation, schema_revision, upgrade
from muniment.observability.doctor.run import Doctor
from muniment.observability.doctor.schemas import DoctorReport
from muniment.settings import Settings, load_settings

_HEADINGS = {
    Severity.ERROR: "[bold red]Errors[/]",
    Severity.WARNING: "[bold yellow]Warnings[/]",
    Severity.INFO: "[bold]To know[/]",
}
_COUNTED = {
    Severity.ERROR: ("error", "errors"),
    Severity.WARNING: ("warning", "warnings"),
    Severity.INFO: ("remark", "remarks"),
}


def doctor(
    check: Annotated[
        str | None, typer.Option(help="Make only this check, e.g. db.missing_indexes.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Examine the installation: what is wrong, what was measured, and what to do about it.

    Exits with 1 when there are errors. With MUNIMENT_URL it asks that server; MUNIMENT_API_KEY is
    then an operator's key.
    """
    with one_sentence_errors():
        settings = load_settings()
        report = _remote(settings, check) if settings.url is not None else _here(settings, check)
    if json:
        print_json(report)
    else:
        _print(report)
    if report.status == "errors":
        raise typer.Exit(1)


def _remote(settings: Settings, check: str | None) -> DoctorReport:
    from muniment.cli.remote import call  # slow to load

    parameters = {} if check is None else {"check": check}
    return msgspec.convert(call(settings, "GET", "/v1/doctor", params=parameters), DoctorReport)


def _here(settings: Settings, check: str | None) -> DoctorReport:
    with installation(settings) as target:
        # A data directory that was just made; one that is behind is left for the doctor to tell.
        if target.embedded and schema_revision(target)[0] is None:
            upgrade(target)
        return run(_examine(settings, target, check))


async def _examine(settings: Settings, target: Installation, check: str | None) -> DoctorReport:
    timeout = settings.api_statement_timeout
    with ExitStack() as stack:
        async with target.open(settings, statement_timeout=timeout) as database:
            examination = Examination(database, settings, _resources(settings, stack))
            return await Doctor(CHECKS, examination).report(check)


def _resources(settings: Settings, stack: ExitStack) -> dict[type[Any], Any]:
    """Open what the checks look at when they do: not every one loads the model."""
    from muniment.components import load_embedder, open_blobs
    from muniment.documents.blobs import BlobStore
    from muniment.documents.embedding import Embedder

    async def embedder() -> Embedder:
        return stack.enter_context(await asyncio.to_thread(load_embedder, settings))

    async def blobs() -> BlobStore:
        return await asyncio.to_thread(open_blobs, settings)

    return {Embedder: embedder, BlobStore: blobs}


def _print(report: DoctorReport) -> None:
    for severity, heading in _HEADINGS.items():
        found = [finding for finding in report.findings if finding.severity is severity]
        if found:
            console.print(f"{heading}\n")
        for finding in found:
            _print_finding(finding)
    skipped = [check for check in report.checks if check.skipped is not None]
    for check in skipped:
        notes.print(f"Not made: {check.id} ({check.skipped}).", highlight=False, soft_wrap=True)
    made = len(report.checks) - len(skipped)
    if not report.findings:
        console.print(f"Nothing is wrong: {plural(made, 'check')}.", highlight=False)
        return
    counts = ", ".join(
        plural(sum(finding.severity is severity for finding in report.findings), one, many)
        for severity, (one, many) in _COUNTED.items()
    )
    console.print(f"{plural(made, 'check')}: {counts}.", highlight=False)


def _print_finding(finding: Finding) -> None:
    """Print what people read first, then what they copy, each line by itself."""
    lines = [
        f"  {finding.id}: {finding.title}",
        f"    Found:  {finding.evidence}",
        f"    Remedy: {finding.remedy}",
        *(f"      SQL> {statement.rstrip(';')};" for statement in finding.sql),
        *(f"      {name}={value}" for name, value in finding.settings.items()),
        *([f"      $ {finding.command}"] if finding.command is not None else []),
        "",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
