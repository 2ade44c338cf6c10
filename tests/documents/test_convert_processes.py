"""Conversion processes may die at any time; files, neighbours and the event loop do not care."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.convert import Converter
from muniment.documents.convert_errors import (
    ConversionCrashed,
    ConversionError,
    ConversionMemory,
    ConversionTimeout,
    FileUnreadable,
)
from muniment.documents.embedding_model import DEFAULT_MODEL, find_model

TOKENIZER = find_model(DEFAULT_MODEL).tokenizer
DEADLINE = 60.0


def small(folder: Path, count: int) -> list[ConversionItem]:
    items = []
    for number in range(count):
        path = folder / f"small-{number}.md"
        path.write_text(f"# Note {number}\n\nThe sea is calm.\n")
        items.append(ConversionItem(path, path.name))
    return items


def slow(folder: Path, lines: int = 900_000) -> ConversionItem:
    """A text that takes seconds to convert; above 8 MiB (260,000 lines) it is read in parts."""
    path = folder / "slow.txt"
    path.write_text(
        "".join(f"Reading {n} of gauge {n % 7}: {n * 37 % 9001} mm.\n" for n in range(lines))
    )
    return ConversionItem(path, path.name)


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "muniment.documents.conversion_process" in child.cmdline()
    ]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.005)


def busy_child() -> psutil.Process | None:
    """The process that has read for a while, which start-up alone does not take."""
    for child in children():
        if child.cpu_times().user > 1.0:
            return child
    return None


def kinds(results: Sequence[Conversion | ConversionError]) -> list[type]:
    return [type(result) for result in results]


async def test_a_file_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    items = [*small(tmp_path, 2), slow(tmp_path, 200_000), *small(tmp_path, 2)]
    async with Converter(TOKENIZER, spool=tmp_path, processes=1, deadline=0.8) as converter:
        results = await converter.convert_many(items)
        again = await converter.convert_many(items[:1])
    assert kinds(results) == [Conversion, Conversion, ConversionTimeout, Conversion, Conversion]
    assert kinds(again) == [Conversion]


async def test_a_file_that_fills_the_memory_fails_alone(tmp_path: Path, shared_data: Path) -> None:
    handbook = shared_data / "documents" / "files" / "pdf2image-memory-error-test-400p.pdf"
    items = [*small(tmp_path, 2), ConversionItem(handbook, handbook.name), *small(tmp_path, 2)]
    async with Converter(TOKENIZER, spool=tmp_path, processes=1, memory_mb=120) as converter:
        results = await converter.convert_many(items)
    assert kinds(results) == [Conversion, Conversion, ConversionMemory, Conversion, Conversion]


async def test_a_file_that_crashes_its_process_fails_alone(tmp_path: Path) -> None:
    items = [slow(tmp_path), *small(tmp_path, 2)]
    async with Converter(TOKENIZER, spool=tmp_path, processes=1) as converter:
        work = asyncio.create_task(converter.convert_many(items))
        await until(lambda: busy_child() is not None)
        child = busy_child()
        assert child is not None
        child.send_signal(signal.SIGSEGV)
        results = await work
    assert kinds(results) == [ConversionCrashed, Conversion, Conversion]
    assert isinstance(results[0], ConversionCrashed)
    assert "SIGSEGV" in results[0].detail


async def test_a_process_killed_from_outside_is_told_as_lack_of_memory(tmp_path: Path) -> None:
    async with Converter(TOKENIZER, spool=tmp_path, processes=1) as converter:
        work = asyncio.create_task(converter.convert_many([slow(tmp_path)]))
        await until(lambda: busy_child() is not None)
        child = busy_child()
        assert child is not None
        child.kill()
        assert kinds(await work) == [ConversionMemory]


async def test_idle_processes_that_die_are_replaced(tmp_path: Path) -> None:
    async with Converter(TOKENIZER, spool=tmp_path, processes=2) as converter:
        await converter.warm_up()
        for child in children():
            child.kill()
        results = await converter.convert_many(small(tmp_path, 5))
    assert kinds(results) == [Conversion] * 5


async def test_cancelling_ends_the_process_at_work(tmp_path: Path) -> None:
    async with Converter(TOKENIZER, spool=tmp_path, processes=1) as converter:
        work = asyncio.create_task(converter.convert_many([slow(tmp_path)]))
        await until(lambda: busy_child() is not None)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert not children()
        assert kinds(await converter.convert_many(small(tmp_path, 1))) == [Conversion]


async def test_processes_are_recycled_and_end_with_the_converter(tmp_path: Path) -> None:
    async with Converter(TOKENIZER, spool=tmp_path, processes=1, recycle_after=1) as converter:
        for _ in range(2):
            assert kinds(await converter.convert_many(small(tmp_path, 2))) == [Conversion] * 2
            assert not children()
    async with Converter(TOKENIZER, spool=tmp_path, processes=2) as converter:
        await converter.warm_up()
        assert len(children()) == 2
    assert not children()


async def test_a_large_text_is_spooled_in_parts(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    path = tmp_path / "large.md"
    body = "".join(f"Reading {n} of the gauge: {n * 37 % 9001} mm.\n\n" for n in range(250_000))
    path.write_text(f"---\ntitle: All readings\n---\n# Gauge\n\n{body}", newline="\r\n")
    async with Converter(TOKENIZER, spool=spool, processes=1, memory_mb=200) as converter:
        conversion = await converter.convert(path, filename=path.name)
        text = await conversion.markdown()
        assert text == f"# Gauge\n\n{body}"
        assert conversion.title == "All readings"
        assert conversion.text_path is not None
        assert conversion.text_path.stat().st_size == len(text.encode())
        count = 0
        async for batch in conversion.chunk_batches(1000):
            assert len(batch) <= 1000
            for chunk in batch:
                assert chunk.ordinal == count
                assert chunk.heading_path == ("Gauge",)
                assert text[chunk.start_offset : chunk.end_offset] == chunk.text
                count += 1
        assert count == conversion.chunk_count
        await conversion.discard()
        assert not conversion.text_path.exists()
    assert list(spool.iterdir()) == []


async def test_a_file_deleted_meanwhile_is_told(tmp_path: Path) -> None:
    items = small(tmp_path, 3)
    items[1].path.unlink()
    async with Converter(TOKENIZER, spool=tmp_path, processes=1) as converter:
        results = await converter.convert_many(items)
    assert kinds(results) == [Conversion, FileUnreadable, Conversion]


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from muniment.documents.convert import Converter\n"
        "async def main():\n"
        "    converter = Converter(Path(sys.argv[1]), spool=Path(sys.argv[2]), processes=2)\n"
        "    await converter.warm_up()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    source = Path(__file__).parents[2] / "src"
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(TOKENIZER), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        orphans = psutil.Process(parent.pid).children()
        assert len(orphans) == 2
        parent.kill()
    _, alive = psutil.wait_procs(orphans, timeout=DEADLINE)
    assert not alive


async def test_the_event_loop_stays_free(tmp_path: Path) -> None:
    """No callback of a batch conversion may hold the loop; measured in processor time."""
    items = small(tmp_path, 400)
    async with Converter(TOKENIZER, spool=tmp_path, processes=2) as converter:
        await converter.warm_up()
        before = time.thread_time()
        results = await converter.convert_many(items)
        spent = time.thread_time() - before
    assert kinds(results) == [Conversion] * 400
    assert spent / len(items) < 0.005
