"""The command line. One file per command group; this one only gathers them."""

from __future__ import annotations

import typer

from muniment.cli import (
    admin,
    database,
    demo,
    doctor,
    evaluation,
    ingest,
    jobs,
    jobs_figures,
    jobs_schedules,
    jobs_watch,
    keys,
    objectives,
    operators,
    people,
    processes,
    reconcile,
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
app.command()(reconcile.reconcile)
app.command(name="eval")(evaluation.evaluate_folder)
app.command()(doctor.doctor)
app.command()(processes.api)
app.command()(processes.worker)
app.command()(objectives.objectives)
app.add_typer(database.app, name="db")
app.add_typer(jobs.app, name="jobs")
jobs_watch.register(jobs.app)
jobs_figures.register(jobs.app)
jobs_schedules.register(jobs.app)
app.add_typer(admin.app, name="admin")
keys.register(app)
people.register(admin.app)
operators.register(admin.app)
objectives.register(admin.app)


def main() -> None:
    """Run the command line."""
    app()
