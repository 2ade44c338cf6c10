"""`muniment reconcile`: which records of two files, or of one, belong together, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.runtime import notes, one_sentence_errors, print_json
from muniment.settings import Settings, load_settings

if TYPE_CHECKING:
    from muniment.cli.reconcile_outputs import Outputs
    from muniment.reconcile.results.given import FileGiven
    from muniment.reconcile.results.summary import Summary
    from muniment.reconcile.rules import Rules

_READING = "How files are read"
_INTERRUPTED = 130


_Left = Annotated[Path, typer.Argument(help="Records: CSV, XLSX, Parquet or JSON lines.")]
_Right = Annotated[
    Path | None,
    typer.Argument(help="Records to match them with; without it LEFT is searched for duplicates."),
]
_Evidence = Annotated[
    Path | None,
    typer.Option(help="Records that name both sides, such as remittance advice."),
]
_Out = Annotated[
    Path | None,
    typer.Option(help="File for the matches. Without it matches.csv, in this folder."),
]
_ReviewOut = Annotated[
    Path | None,
    typer.Option(help="File for pairs to look at. Without it OUT with -review in its name."),
]
_UnmatchedOut = Annotated[
    Path | None,
    typer.Option(help="File for records left over. Without it OUT with -unmatched."),
]
_RulesFile = Annotated[Path | None, typer.Option(help="Rules, as JSON.")]
_Threshold = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Confidence from which a pair is matched."),
]
_Roles = Annotated[
    list[str] | None,
    typer.Option(
        help="What a column is, as left.Customer=name; may be repeated.",
        rich_help_panel=_READING,
    ),
]
_Delimiters = Annotated[
    list[str] | None,
    typer.Option(help="Delimiter of all files, or of one, as 'left=;'.", rich_help_panel=_READING),
]
_Encodings = Annotated[
    list[str] | None,
    typer.Option(
        help="Encoding of all files, or of one, as right=cp1252.", rich_help_panel=_READING
    ),
]
_Sheets = Annotated[
    list[str] | None,
    typer.Option(
        help="Sheet of all workbooks, or of one, as left=March.", rich_help_panel=_READING
    ),
]
_DatabaseOfQueries = Annotated[
    str | None,
    typer.Option(
        help="Database of files that end in .sql: its address, or a name in "
        "MUNIMENT_RECONCILE_CONNECTIONS.",
        rich_help_panel=_READING,
    ),
]
_PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Only tell what would be compared and what it costs.")
]
_Name = Annotated[
    str | None,
    typer.Option(help="With MUNIMENT_URL: name of the reconciliation there."),
]
_Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Write the files and say nothing.")]


def reconcile(
    left: _Left,
    right: _Right = None,
    evidence: _Evidence = None,
    *,
    out: _Out = None,
    review_out: _ReviewOut = None,
    unmatched_out: _UnmatchedOut = None,
    rules: _RulesFile = None,
    threshold: _Threshold = None,
    role: _Roles = None,
    delimiter: _Delimiters = None,
    encoding: _Encodings = None,
    sheet: _Sheets = None,
    database: _DatabaseOfQueries = None,
    plan: _PlanOnly = False,
    name: _Name = None,
    json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Find which records belong together, how sure that is, and why.

    Needs no configuration, no database and no server: what columns mean is read off the data.
    Three files are written: the matches, pairs to look at, and records left over. A file that is
    named with --out is replaced. With MUNIMENT_URL set the work is done there, decisions that
    people made there hold, and the same files are written here.
    """
    from muniment.cli.reconcile_options import files_given, rules_given  # slow to load
    from muniment.cli.reconcile_outputs import outputs

    paths = {"left": left, "right": right, "evidence": evidence}
    named = {side: path for side, path in paths.items() if path is not None}
    with one_sentence_errors():
        settings = load_settings()
        files = files_given(
            named,
            delimiter=delimiter or [],
            encoding=encoding or [],
            sheet=sheet or [],
            role=role or [],
            database=database,
        )
        chosen = rules_given(rules, threshold)
        if plan:
            _show_plan(settings, files, chosen, name=name, json=json, quiet=quiet)
            return
        targets = outputs(out, review_out, unmatched_out, list(named.values()))
        summary = _reconcile(settings, files, chosen, targets, name=name, hidden=quiet)
    if json:
        print_json(summary)
    elif not quiet:
        from muniment.cli.reconcile_summary import print_summary

        print_summary(summary)


def _reconcile(
    settings: Settings,
    files: dict[str, FileGiven],
    rules: Rules,
    targets: Outputs,
    *,
    name: str | None,
    hidden: bool,
) -> Summary:
    from muniment.cli.reconcile_local import Stopped, reconcile_locally

    try:
        if settings.url is None:
            return reconcile_locally(settings, files, rules, targets, hidden=hidden)
        from muniment.cli.reconcile_remote import reconcile_remotely

        return reconcile_remotely(settings, files, rules, targets, name=name, hidden=hidden)
    except (Stopped, KeyboardInterrupt):
        notes.print("Stopped. Nothing was written.")
        raise typer.Exit(_INTERRUPTED) from None


def _show_plan(
    settings: Settings,
    files: dict[str, FileGiven],
    rules: Rules,
    *,
    name: str | None,
    json: bool,
    quiet: bool,
) -> None:
    """Tell what would be compared; nothing is compared and nothing written."""
    from muniment.cli.reconcile_local import Stopped, plan_locally

    try:
        if settings.url is None:
            found = plan_locally(settings, files, rules, hidden=quiet)
        else:
            from muniment.cli.reconcile_remote import plan_remotely

            found = plan_remotely(settings, files, rules, name=name, hidden=quiet)
    except (Stopped, KeyboardInterrupt):
        raise typer.Exit(_INTERRUPTED) from None
    if json:
        print_json(found)
    else:
        from muniment.cli.reconcile_summary import print_plan

        print_plan(found)
