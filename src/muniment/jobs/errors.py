"""What can go wrong with jobs."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class JobNotFound(NotFound):
    """There is no such job here."""

    code = "job_not_found"
    title = "Job not found"


class PermanentFailure(MunimentError):
    """The job cannot succeed, however often it is tried.

    Handlers raise it, or a subclass with a code of its own, and the job fails at once.
    """

    code = "permanent_failure"
    status = 422
    title = "Permanent failure"


class InvalidPayload(PermanentFailure):
    """The payload of the job does not fit its kind."""

    code = "invalid_payload"
    title = "Invalid payload"


class UnknownKind(MunimentError):
    """This worker does not know the kind of the job; it may be older than what enqueued it."""

    code = "unknown_kind"
    title = "Unknown kind of job"


class DeadlineExceeded(MunimentError):
    """The job ran longer than it may."""

    code = "deadline_exceeded"
    title = "Deadline exceeded"


class JobLost(MunimentError):
    """The job was given to another worker; what this one was about to commit is undone."""

    code = "job_lost"
    title = "Job lost"
