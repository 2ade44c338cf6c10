"""Jobs: work that takes time, tracked, in lanes on Postgres.

Enqueue in the transaction of the rows that the work is about; a `Worker` does it, once it
is committed. See `task` for how to write a kind of job.
"""

from muniment.jobs.enqueue import JobId, enqueue, enqueue_many
from muniment.jobs.errors import JobNotFound, PermanentFailure
from muniment.jobs.presence import live_workers
from muniment.jobs.progress import ProgressOfChildren, progress_of
from muniment.jobs.queue_state import QueueState, queue_state
from muniment.jobs.running_job import RunningJob
from muniment.jobs.task import Backoff, Lane, Task, task
from muniment.jobs.worker import Worker

__all__ = [
    "Backoff",
    "JobId",
    "JobNotFound",
    "Lane",
    "PermanentFailure",
    "ProgressOfChildren",
    "QueueState",
    "RunningJob",
    "Task",
    "Worker",
    "enqueue",
    "enqueue_many",
    "live_workers",
    "progress_of",
    "queue_state",
    "task",
]
