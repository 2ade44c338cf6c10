"""One scrape shows every process of a machine, whatever happens to them."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from muniment.observability.metrics import Metrics
from muniment.observability.metrics.gathering import Exposition, joined
from tests.app.api_processes import ApiProcess, Ask, api_processes
from tests.observability.worker_processes import worker_process
from tests.waiting import until

Figures = dict[tuple[str, str, str], float]


def by_process(text: str, name: str) -> Figures:
    """Return the values of a metric by its name, process and slot; none is told twice."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                key = (name, sample.labels["process"], sample.labels["slot"])
                assert key not in found
                found[key] = sample.value
    return found


def up(text: str) -> dict[tuple[str, str], float]:
    found = by_process(text, "muniment_process_up")
    return {(process, slot): value for (_, process, slot), value in found.items()}


def sockets(data_dir: Path) -> list[Path]:
    return list(data_dir.glob("run/*/*.sock"))


def left_behind(data_dir: Path) -> list[Path]:
    return list(data_dir.glob("run/*"))


async def scrape(api: ApiProcess) -> str:
    response = await api.ask(Ask("GET", "/metrics"))
    assert response.status_code == 200
    return response.text


@pytest.fixture
async def api(clone: Any, data_dir: Path) -> AsyncIterator[ApiProcess]:
    async with api_processes(clone.installation, data_dir, redis_url=None, count=1) as [api]:
        yield api


async def test_one_scrape_shows_all_and_survives_a_kill(
    api: ApiProcess, clone: Any, data_dir: Path
) -> None:
    everybody = {("api", "0"): 1, ("worker", "0"): 1, ("worker", "1"): 1}

    async def all_are_up() -> bool:
        return up(await scrape(api)) == everybody

    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(worker_process(clone.installation, data_dir, "fast"))
            for _ in range(2)
        ]
        await until(all_are_up, 60)
        text = await scrape(api)
        pids = by_process(text, "muniment_process_pid")
        assert set(pids.values()) == {process.pid for process in (api.process, *workers)}
        memory = by_process(text, "process_resident_memory_bytes")
        assert len(memory) == 3
        assert all(value > 10_000_000 for value in memory.values())

        [killed] = [
            one for one in workers if one.pid == pids["muniment_process_pid", "worker", "0"]
        ]
        killed.kill()
        await killed.wait()
        assert up(await scrape(api)) == {("api", "0"): 1, ("worker", "1"): 1}
        assert len(sockets(data_dir)) == 2

        # Whoever comes next goes on with the series of the one that is gone.
        [left] = [one for one in workers if one is not killed]
        async with worker_process(clone.installation, data_dir, "fast") as third:
            await until(all_are_up, 60)
            pids = by_process(await scrape(api), "muniment_process_pid")
        assert pids["muniment_process_pid", "worker", "0"] == third.pid
        assert pids["muniment_process_pid", "worker", "1"] == left.pid


async def test_a_worker_tells_of_all_on_a_port_of_its_own(clone: Any, data_dir: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    async def fetched(path: str) -> httpx.Response | None:
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                return await client.get(path)
        except httpx.TransportError:
            return None

    async def two_are_up() -> bool:
        response = await fetched("/metrics")
        return response is not None and len(up(response.text)) == 2

    async with (
        worker_process(clone.installation, data_dir, "fast", worker_port=port) as first,
        worker_process(clone.installation, data_dir, "fast", worker_port=port) as second,
    ):
        await until(two_are_up, 60)
        health, ready, nothing = [
            await fetched(path) for path in ("/healthz", "/readyz", "/v1/jobs")
        ]
        assert health is not None
        assert health.json()["status"] == "ok"
        assert ready is not None
        assert ready.json()["status"] == "ready"
        assert nothing is not None
        assert nothing.status_code == 404
        alone = await fetched("/metrics?gathered=false")
        assert alone is not None
        assert "slot=" not in alone.text

        # The one that serves stops; the other takes over, and both have ended in good order.
        pid = next(
            line for line in alone.text.splitlines() if line.startswith("muniment_process_pid ")
        )
        serving = first if int(float(pid.split()[1])) == first.pid else second
        serving.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(serving.wait(), 30) == 0

        async def taken_over() -> bool:
            response = await fetched("/metrics")
            return response is not None and len(up(response.text)) == 1

        await until(taken_over, 30)


async def test_a_process_that_hangs_is_told_as_such(data_dir: Path) -> None:
    async with (
        joined(Metrics("worker"), data_dir) as hanging,
        joined(Metrics("api"), data_dir) as api,
    ):

        async def never(reader: Any, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(3)
            writer.close()

        await gathered(api)
        hanging.tell = never  # type: ignore[method-assign]
        text = await gathered(api)
    assert up(text) == {("api", "0"): 1, ("worker", "0"): 1}


async def gathered(exposition: Exposition, accept: str = "") -> str:
    return (await exposition.gathered(accept))[0].decode()


async def test_counters_of_two_processes_of_a_role_stay_apart(data_dir: Path) -> None:
    one, other = Metrics("api"), Metrics("api")
    for metrics, times in ((one, 2), (other, 5)):
        for _ in range(times):
            metrics.statements.ran("jobs.list_jobs", 0.01, failed=False)
    async with joined(one, data_dir) as first, joined(other, data_dir):
        text = await gathered(first)
    name = "muniment_db_statement_duration_seconds_count"
    assert by_process(text, name) == {(name, "api", "0"): 2, (name, "api", "1"): 5}
    assert left_behind(data_dir) == []


async def test_what_is_shared_is_told_once(data_dir: Path) -> None:
    one, other = Metrics("api"), Metrics("worker")
    other.queue.show([Waiting("fast", "documents.convert", 3)])
    async with joined(one, data_dir) as first, joined(other, data_dir):
        text = await gathered(first)
        other.queue.show([Waiting("fast", "documents.convert", 7)])
        one.queue.show([Waiting("fast", "documents.convert", 7)])
        later = await gathered(first)
    line = 'muniment_queue_jobs{kind="documents.convert",lane="fast",state="waiting"}'
    assert text.count(line) == later.count(line) == 1
    assert f"{line} 3.0" in text
    assert f"{line} 7.0" in later


class Waiting:
    """A state of the queue."""

    delayed = running = 0
    oldest_seconds = 1.5
    paused = False

    def __init__(self, lane: str, kind: str, waiting: int) -> None:
        self.lane, self.kind, self.waiting = lane, kind, waiting


async def test_both_formats_are_well_formed(data_dir: Path) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

    metrics = Metrics("api")
    metrics.statements.ran('odd"name\\', 0.01, failed=True)
    metrics.search.ended("hybrid", "found")
    async with joined(metrics, data_dir) as exposition, joined(Metrics("worker"), data_dir):
        plain, plain_type = await exposition.gathered("text/plain")
        accept = "application/openmetrics-text; version=1.0.0"
        open_text, open_type = await exposition.gathered(accept)
    assert plain_type == "text/plain; version=0.0.4; charset=utf-8"
    assert open_type.startswith("application/openmetrics-text")
    names = [family.name for family in text_string_to_metric_families(plain.decode())]
    assert len(names) == len(set(names))
    found = {
        sample.labels["statement"]
        for family in openmetrics(open_text.decode())
        for sample in family.samples
        if sample.name == "muniment_db_statement_errors_total"
    }
    assert found == {'odd"name\\'}


async def test_processes_started_by_one_are_told_by_their_role(data_dir: Path) -> None:
    metrics = Metrics("worker")
    child = await asyncio.create_subprocess_exec("sleep", "60")
    metrics.children.started("conversion", child.pid)
    async with joined(metrics, data_dir) as exposition:
        text = await gathered(exposition)
        metrics.children.ending("conversion", child.pid)
        child.kill()
        await child.wait()
        metrics.children.ended("conversion", child.pid, "memory")
        later = await gathered(exposition)
    name = "process_resident_memory_bytes"
    assert by_process(text, name)[name, "conversion", "worker-0"] > 100_000
    assert by_process(later, name)[name, "conversion", "worker-0"] == 0
    cpu = "process_cpu_seconds_total"
    place = (cpu, "conversion", "worker-0")
    assert by_process(later, cpu)[place] >= by_process(text, cpu)[place]
    ended = 'muniment_child_processes_ended_total{process="conversion",reason="memory",slot='
    assert f'{ended}"worker-0"}} 1.0' in later


async def test_a_folder_with_a_long_name_is_no_hindrance(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(data_dir))
    deep = data_dir / ("deep" * 20) / ("deeper" * 10)
    async with joined(Metrics("api"), deep) as one, joined(Metrics("worker"), deep):
        text = await gathered(one)
    assert up(text) == {("api", "0"): 1, ("worker", "0"): 1}


async def test_a_folder_that_cannot_be_written_leaves_a_process_alone(data_dir: Path) -> None:
    blocked = data_dir / "run"
    blocked.write_text("a file where the folder should be")
    async with joined(Metrics("api"), data_dir) as one:
        assert up(await gathered(one)) == {("api", "0"): 1}
