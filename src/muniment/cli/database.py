"""`muniment db`: the schema of the database."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

from muniment.cli.runtime import console, one_sentence_errors, print_json
from muniment.db.installation import alembic_config, installation, schema_revision, upgrade
from muniment.settings import load_settings

app = typer.Typer(help="Show and upgrade the schema of the database.", no_args_is_help=True)


@app.command("upgrade")
def upgrade_schema(
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Bring roles and schema up to this version; safe to repeat and to run from many hosts."""
    with one_sentence_errors(), installation(load_settings()) as target:
        before, _ = schema_revision(target)
        upgrade(target)
        after, expected = schema_revision(target)
    if json:
        print_json({"before": before, "revision": after, "expected": expected})
    elif before == after:
        console.print(f"The schema is up to date (revision {after}).")
    else:
        console.print(f"The schema was upgraded from {before or 'nothing'} to revision {after}.")


@app.command()
def status(
    json: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Tell whether the schema is up to date; exits with 1 when it is not."""
    with one_sentence_errors(), installation(load_settings()) as target:
        current, expected = schema_revision(target)
    if json:
        print_json({"revision": current, "expected": expected, "pending": current != expected})
    elif current == expected:
        console.print(f"The schema is up to date (revision {current}).")
    else:
        console.print(
            f"The schema is at revision {current or 'none'}, this version needs {expected}: "
            "run `muniment db upgrade`."
        )
    if current != expected:
        raise typer.Exit(1)


@app.command("sql")
def print_sql() -> None:
    """Print the SQL of all migrations, for a DBA to read or to run by hand."""
    console.print(files("muniment.db").joinpath("roles.sql").read_text(), markup=False)
    from alembic import command  # slow to load

    command.upgrade(alembic_config("postgresql://"), "head", sql=True)
