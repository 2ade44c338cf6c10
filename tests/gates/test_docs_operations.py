"""docs/operations.md tells every metric as it is."""

from tools.reference import metrics, pages


def test_page_is_what_the_metrics_say() -> None:
    found, wanted = pages.current("operations.md")
    assert found == wanted, "run make docs"


def test_every_metric_is_there_and_says_what_it_measures() -> None:
    text, _ = pages.current("operations.md")
    found = metrics.metrics()
    assert found
    assert [metric.name for metric in found if f"`{metric.name}" not in text] == []
    assert [metric.name for metric in found if not metric.documentation] == []
