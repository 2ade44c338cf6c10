"""The table of metrics in docs/operations.md."""

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from muniment.app import create_app
from muniment.observability.metrics import Metrics
from muniment.observability.metrics.exposition import UP, UP_TEXT
from muniment.settings import Settings
from tools.reference.markdown import table


def render() -> str:
    """Return a table with a row for each metric of an API or a worker process, by name."""
    found = {_exposed_name(metric): metric for metric in metrics()}
    rows = ((f"`{name}`", found[name].type, found[name].documentation) for name in sorted(found))
    return table(("Metric", "Type", "What it measures"), rows)


def metrics() -> list[Metric]:
    """Return every metric that a process of any role reports."""
    processes = create_app(Settings()).metrics, Metrics("worker")
    registries = [registry for one in processes for registry in (one.registry, one.shared)]
    # Told by whoever gathers them, so in no registry.
    gathered = GaugeMetricFamily(UP, UP_TEXT)
    return [gathered, *(metric for registry in registries for metric in registry.collect())]


def _exposed_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
