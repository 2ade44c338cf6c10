"""The progress bar of a reconciliation: one bar over all of its steps."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from muniment.cli.runtime import notes


class TimeLeftColumn(ProgressColumn):
    """How long the rest takes if it goes on as it has gone on average.

    The usual column goes by how fast the last steps went: steps here are few and unlike, and it
    would stand still while one of them takes long.
    """

    def render(self, task: Task) -> Text:
        """Return the time left of a progress bar's task."""
        if not task.total or not task.completed or task.elapsed is None:
            return Text("")
        left = task.elapsed * (task.total - task.completed) / task.completed
        return Text(f"{timedelta(seconds=round(left))} left", style="progress.remaining")


class WorkBar:
    """A bar on stderr with the step, the share done and the time left, gone when all is done.

    Where stderr is no terminal nothing is shown: logs have no use for half a bar.
    """

    def __init__(self, *, hidden: bool) -> None:
        """Take whether nothing shall be shown at all."""
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeLeftColumn(),
            console=notes,
            transient=True,
            disable=hidden or not notes.is_terminal,
        )
        self._bar = self._bars.add_task("starting", total=None)

    def __enter__(self) -> WorkBar:
        """Show the bar."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self._bars.stop()

    def show(self, done: int, total: int | None, step: str) -> None:
        """Show how much of the total is done, and what is being done."""
        self._bars.update(self._bar, description=step, completed=done, total=total)
