"""The functions that run in a process of their own, see `muniment.processes.function`.

Whoever starts them shows how far they are and kills them when told to; nothing of them is left but
the folder that they were given. What they need is loaded in that process only: it takes a second.
"""

from __future__ import annotations

from typing import Any

from muniment.processes.reporter import Reporter
from muniment.reconcile.results.given import FilesGiven
from muniment.reconcile.results.summary import Summary


def reconcile_files(given: FilesGiven, report: Reporter) -> Summary:
    """Match files and write what was found; see `files.reconcile_files`."""
    from muniment.reconcile.results import files

    return files.reconcile_files(given, report)


def plan_files(given: FilesGiven, report: Reporter) -> dict[str, Any]:
    """Load files and tell what would be compared; see `files.plan_files`."""
    from muniment.reconcile.results import files

    return files.plan_files(given, report)
