"""Prometheus metrics: what is measured, by subject, and how a scrape shows every process."""

from muniment.observability.metrics.metrics import Metrics, ProcessRole

__all__ = ["Metrics", "ProcessRole"]
