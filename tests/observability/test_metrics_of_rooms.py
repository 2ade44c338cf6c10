"""What rooms tell of their work becomes metrics."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from muniment.documents.convert import Converter
from muniment.documents.convert_errors import EmptyFile
from muniment.documents.embedding import Embedder
from muniment.observability.metrics import Metrics
from muniment.outside_services import observe_outside_services, outside_service
from muniment.processes.observers import observe_processes
from tests.observability.test_metrics import samples
from tests.waiting import until


async def test_calls_to_outside_services_are_timed_by_outcome() -> None:
    metrics = Metrics("api")
    with observe_outside_services(metrics.outside):
        with outside_service("github") as call:
            call.allowance(4999)
        with outside_service("github") as call:
            call.outcome = "refused"
            call.allowance(0)
        with pytest.raises(TimeoutError), outside_service("github"):
            async with asyncio.timeout(0):
                await asyncio.sleep(1)
        with pytest.raises(ConnectionError), outside_service("github"):
            raise ConnectionError
    with outside_service("github"):
        pass  # nobody looks any more
    found = samples(metrics)
    name = "muniment_outside_service_duration_seconds_count"
    for outcome in ("ok", "refused", "timeout", "error"):
        assert found[f"{name} {outcome} github"] == 1
    assert found["muniment_outside_service_allowance_remaining github"] == 0


async def test_the_lag_of_an_event_loop_is_measured() -> None:
    metrics = Metrics("api")
    measuring = asyncio.create_task(metrics.event_loop.measure(0.001))
    name = "muniment_event_loop_lag_seconds_count"
    await until(lambda: samples(metrics)[name] > 3)
    measuring.cancel()
    found = samples(metrics)
    assert found["muniment_event_loop_lag_seconds_bucket +Inf"] == found[name]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load()


async def test_embeddings_are_counted(embedder: Embedder) -> None:
    metrics = Metrics("embedding-worker")
    with embedder.observed_by(metrics.embedding):
        await embedder.embed_passages(["one", "two", "three"])
        await embedder.embed_query("a question of this test")
        await embedder.embed_query("a question of this test")
    await embedder.embed_query("a question that nobody looks at")
    found = samples(metrics)
    assert found["muniment_embedding_passages_total"] == 3
    assert found["muniment_embedding_list_passages_bucket 4.0"] == 1
    assert found["muniment_embedding_duration_seconds_count passages"] == 1
    assert found["muniment_embedding_duration_seconds_count query"] == 1
    assert found["muniment_embedding_queries_known_total"] == 1
    assert found["muniment_embedding_waiting passages"] == 0
    assert found["muniment_embedding_waiting query"] == 0


async def test_conversions_and_their_processes_are_counted(
    embedder: Embedder, tmp_path: Path
) -> None:
    metrics = Metrics("worker")
    good, empty = tmp_path / "good.md", tmp_path / "empty.md"
    good.write_text("# Title\n\nA text of some words.")
    empty.write_text("")
    with observe_processes(metrics.children):
        async with Converter(
            embedder.tokenizer_path, processes=1, observers=[metrics.conversions]
        ) as converter:
            await converter.convert(good, filename="good.md")
            during = samples(metrics)
            with pytest.raises(EmptyFile):
                await converter.convert(empty, filename="empty.md")
    found = samples(metrics)
    assert during["muniment_child_processes conversion"] == 1
    assert during["process_resident_memory_bytes conversion"] > 10_000_000
    assert found["muniment_child_processes conversion"] == 0
    assert found["muniment_child_processes_ended_total conversion closed"] == 1
    assert found["process_cpu_seconds_total conversion"] > 0
    assert found["muniment_conversion_files_total ok text/markdown"] == 1
    assert found["muniment_conversion_files_total empty_file unknown"] == 1
    assert found["muniment_conversion_duration_seconds_count"] == 2
