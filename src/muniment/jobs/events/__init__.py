"""Changes of jobs as they happen, for whoever watches one."""

from muniment.jobs.events.hub import JobEvents
from muniment.jobs.events.watch import Watch

__all__ = ["JobEvents", "Watch"]
