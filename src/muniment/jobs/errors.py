"""What can go wrong with jobs."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ServiceUnavailable


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


class JobCancelled(MunimentError):
    """The job was cancelled; what it was about to commit is undone."""

    code = "job_cancelled"
    title = "Job cancelled"


class JobLost(MunimentError):
    """The job was given to another worker; what this one was about to commit is undone."""

    code = "job_lost"
    title = "Job lost"


class JobHasEnded(MunimentError):
    """The job has ended, and none of its children is unfinished: there is nothing to cancel."""

    code = "job_has_ended"
    status = 409
    title = "Job has ended"


class JobNotRetryable(MunimentError):
    """Only a job that failed or was cancelled can be tried again."""

    code = "job_not_retryable"
    status = 409
    title = "Job not retryable"


class EqualJobWaits(MunimentError):
    """An equal job waits already, so there is nothing to try again."""

    code = "equal_job_waits"
    status = 409
    title = "Equal job waits"


class InvalidTimeSpan(MunimentError):
    """The span of time is not written like 15m, 24h or 7d, or is too long or too short."""

    code = "invalid_time_span"
    status = 422
    title = "Invalid time span"


class TooManyEventStreams(ServiceUnavailable):
    """This process already streams the events of as many jobs as it may; try again shortly."""

    code = "too_many_event_streams"
    title = "Too many event streams"


class IsolatedMemory(PermanentFailure):
    """The work of the job took more memory than it may."""

    code = "out_of_memory"
    title = "Out of memory"


class IsolatedCrash(MunimentError):
    """The process that did the work of the job ended without an answer."""

    code = "process_crashed"
    title = "Process crashed"


class IsolatedFailure(MunimentError):
    """The work of the job failed in its process."""

    code = "isolated_failure"
    title = "Isolated failure"


class IsolatedUnavailable(ServiceUnavailable):
    """No process can be started for the work of the job at the moment."""

    code = "process_unavailable"
    title = "Process unavailable"


class EventLoopBlocked(MunimentError):
    """The job held up all others of its worker: it computed or slept where it should wait."""

    code = "blocked_event_loop"
    title = "Blocked event loop"
