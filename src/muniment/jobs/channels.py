"""Names of the NOTIFY channels through which processes hear of jobs; see migration 0009."""

from __future__ import annotations

WORK = "muniment_jobs"
"""A lane has work: payload is the lane."""
CONTROL = "muniment_job_control"
"""A running job is to be cancelled: payload is its id."""
EVENTS = "muniment_job_events"
"""A job that somebody watches has changed: payload is its id."""
