"""What can go wrong with runs."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound
from muniment.jobs import PermanentFailure


class RunNotFound(NotFound):
    """The reconciliation has no such run."""

    code = "run_not_found"
    title = "Run not found"


class DatasetsNotReady(MunimentError):
    """The datasets cannot be compared: one is missing, is being loaded, or could not be."""

    code = "datasets_not_ready"
    status = 409
    title = "Datasets not ready"


class IncrementalNotPossible(MunimentError):
    """Only the new records cannot be compared: ask for a full run."""

    code = "incremental_not_possible"
    status = 409
    title = "Incremental run not possible"


class RunFailed(PermanentFailure):
    """The datasets cannot be compared; the run tells why."""

    code = "run_failed"
    title = "Run failed"


class DatasetChanged(PermanentFailure):
    """A dataset was loaded anew while it was being compared: run again."""

    code = "dataset_changed"
    title = "Dataset changed"
