"""The command line. One file per command group; this one only gathers them."""

from __future__ import annotations

import typer

from muniment.cli import (
    admin,
    database,
    demo,
    evaluation,
    ingest,
    jobs,
    keys,
    operators,
    people,
    processes,
    search,
)

app = typer.Typer(
    name="muniment",
    help="A self-hosted knowledge backend: folders go in, cited answers come out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(processes.up)
app.command()(demo.demo)
app.command()(ingest.ingest)
app.command()(search.search)
app.command(name="eval")(evaluation.evaluate_folder)
app.command()(processes.api)
app.command()(processes.worker)
app.add_typer(database.app, name="db")
app.add_typer(jobs.app, name="jobs")
app.add_typer(admin.app, name="admin")
keys.register(app)
people.register(admin.app)
operators.register(admin.app)


def main() -> None:
    """Run the command line."""
    app()
