"""Processor time, memory and file descriptors of this process and of those that it started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from prometheus_client import Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric


@dataclass(slots=True)
class Usage:
    """What one or several processes use."""

    cpu_seconds: float = 0.0
    resident: float = 0.0
    virtual: float = 0.0
    threads: float = 0.0
    fds: float = 0.0


class ChildProcesses:
    """The processes that this one started, by their role (a `ProcessObserver`).

    The processor time of those that ended is kept, so that the sum of a role never falls. It is
    exact for one that we kill, and as of the last look for one that crashed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._live: dict[str, dict[int, tuple[psutil.Process, float]]] = {}
        self._cpu_of_ended: dict[str, float] = {}
        self._running = Gauge(
            "muniment_child_processes",
            "Processes that run for this one: conversion, job.",
            ["process"],
            registry=registry,
        )
        self._ended = Counter(
            "muniment_child_processes_ended",
            "Processes for this one that ended: closed, recycled, cancelled, killed at the "
            "deadline of their work (timeout) or above their ceiling (memory), or crashed.",
            ["process", "reason"],
            registry=registry,
        )

    def started(self, role: str, pid: int) -> None:
        """Measure a process from now on; `role` is a word of the program's text."""
        self._running.labels(role).inc()
        self._cpu_of_ended.setdefault(role, 0.0)
        with suppress(psutil.Error):  # it may have ended already
            self._live.setdefault(role, {})[pid] = (psutil.Process(pid), 0.0)

    def ending(self, role: str, pid: int) -> None:
        """Measure a process that is about to end."""
        found = self._live.get(role, {}).get(pid)
        if found is not None:
            self._live[role][pid] = (found[0], max(_cpu_seconds(found[0]), found[1]))

    def ended(self, role: str, pid: int, reason: str) -> None:
        """Measure a process no more; what it used stays counted."""
        self._running.labels(role).dec()
        self._ended.labels(role, reason).inc()
        found = self._live.get(role, {}).pop(pid, None)
        if found is not None:
            self._cpu_of_ended[role] += found[1]

    def usage(self) -> dict[str, Usage]:
        """Return what is used, by role."""
        sums: dict[str, Usage] = {}
        for role, live in self._live.copy().items():
            sums[role] = total = Usage(cpu_seconds=self._cpu_of_ended[role])
            for pid, (process, before) in live.copy().items():
                usage = _usage(process)
                cpu_seconds = max(usage.cpu_seconds, before)
                if pid in live:
                    live[pid] = (process, cpu_seconds)
                total.cpu_seconds += cpu_seconds
                total.resident += usage.resident
                total.virtual += usage.virtual
                total.threads += usage.threads
                total.fds += usage.fds
        return sums


class ProcessMetrics(Collector):
    """Reads the figures when it is asked, under Prometheus' usual names.

    Those of the processes that this one started are sums and carry their role as `process`.
    """

    def __init__(self, registry: CollectorRegistry, children: ChildProcesses) -> None:
        self._process = psutil.Process()
        self._children = children
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield each figure for this process and for each role of its children."""
        used: list[tuple[dict[str, str], Usage]] = [({}, _usage(self._process))]
        used += [({"process": role}, usage) for role, usage in self._children.usage().items()]
        cpu = CounterMetricFamily("process_cpu_seconds", "User and system processor time.")
        resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.")
        virtual = GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.")
        threads = GaugeMetricFamily("process_threads", "Threads.")
        fds = GaugeMetricFamily("process_open_fds", "Open file descriptors.")
        for labels, usage in used:
            cpu.add_sample("process_cpu_seconds_total", labels, usage.cpu_seconds)
            resident.add_sample(resident.name, labels, usage.resident)
            virtual.add_sample(virtual.name, labels, usage.virtual)
            threads.add_sample(threads.name, labels, usage.threads)
            fds.add_sample(fds.name, labels, usage.fds)
        yield from (cpu, resident, virtual, threads, fds)
        yield GaugeMetricFamily(
            "process_start_time_seconds", "Start, in Unix time.", self._process.create_time()
        )
        yield GaugeMetricFamily(
            "muniment_process_pid",
            "The number that the system gave the process.",
            self._process.pid,
        )


def _usage(process: psutil.Process) -> Usage:
    """Return what a process uses; nothing when it has ended meanwhile."""
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            return Usage(
                times.user + times.system,
                memory.rss,
                memory.vms,
                process.num_threads(),
                process.num_fds() if hasattr(process, "num_fds") else 0,
            )
    except psutil.Error:
        return Usage()


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
