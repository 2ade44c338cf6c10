"""What can go wrong with datasets, apart from what is wrong with their files."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ValidationFailed
from muniment.jobs import PermanentFailure


class DatasetNotFound(NotFound):
    """The reconciliation has no dataset on this side."""

    code = "dataset_not_found"
    title = "Dataset not found"


class FileTooLarge(MunimentError):
    """The file is larger than what is loaded."""

    code = "file_too_large"
    status = 413
    title = "File too large"


class FileNotAcceptable(ValidationFailed):
    """The file has no name, or one that is too long."""

    code = "file_not_acceptable"
    title = "File not acceptable"


class NothingToAppendTo(MunimentError):
    """There is no dataset on this side that records could be added to."""

    code = "nothing_to_append_to"
    status = 409
    title = "Nothing to append to"


class UnknownConnection(ValidationFailed):
    """The operator of this installation has set up no connection of this name."""

    code = "unknown_connection"
    title = "Unknown connection"


class UnknownColumn(ValidationFailed):
    """The dataset has no column of this name."""

    code = "unknown_column"
    title = "Unknown column"


class DatasetNotLoaded(MunimentError):
    """The dataset has not been loaded yet."""

    code = "dataset_not_loaded"
    status = 409
    title = "Dataset not loaded"


class LoadFailed(PermanentFailure):
    """The records cannot be loaded; the dataset tells what is wrong with them."""

    code = "load_failed"
    title = "Load failed"


class SourceNotFound(NotFound):
    """The workspace of the reconciliation has no such source."""

    code = "source_of_documents_not_found"
    title = "Source not found"
