"""What the doctor looks at in caches and Redis."""

from __future__ import annotations

from typing import Any

from muniment.cache.cache import Cache
from muniment.cache.redis import open_redis, redis_failures
from muniment.db.doctor import (
    DoctorCheck,
    Examination,
    Fault,
    Needs,
    Severity,
    doctor_check,
    plural,
)

LEAST_HITS = 0.8
LEAST_LOOKUPS = 1_000
"""Fewer in a namespace are no ground to judge it on."""


@doctor_check(
    "cache.redis",
    "Redis answers, where one is configured, and gives way when its memory is full.",
    Severity.WARNING,
    needs=Needs.NOTHING,
)
async def redis(examination: Examination) -> list[Fault]:
    """Ask each server for its memory limit and what it does when that is reached."""
    url = examination.settings.redis_url
    if url is None:
        return []
    async with open_redis(url) as client:
        try:
            servers = await _memory(client)
        except redis_failures() as error:
            return [
                Fault(
                    title="Redis does not answer.",
                    evidence=f"{type(error).__name__}: {error}",
                    remedy="Start it or correct MUNIMENT_REDIS_URL; until then requests are slower "
                    "and each process counts its limits alone.",
                )
            ]
    return [fault for server in servers for fault in _memory_faults(*server)]


async def _memory(client: Any) -> list[tuple[str, int, str]]:
    """Return name, memory limit and policy of each server; INFO needs no right to CONFIG."""
    found = await client.info("memory")
    # A cluster answers by node.
    nodes = found if all(isinstance(value, dict) for value in found.values()) else {"": found}
    return [
        (name, int(memory["maxmemory"]), str(memory["maxmemory_policy"]))
        for name, memory in nodes.items()
    ]


def _memory_faults(name: str, most: int, policy: str) -> list[Fault]:
    server = f"Redis {name}".strip()
    faults = []
    if not policy.startswith(("allkeys-", "volatile-")):
        faults.append(
            Fault(
                title=f"{server} refuses writes when its memory is full.",
                evidence=f"maxmemory-policy is {policy}.",
                remedy="Let it drop what was not used for long, and write that into its "
                "configuration file.",
                command="redis-cli CONFIG SET maxmemory-policy allkeys-lru",
            )
        )
    if most == 0:
        faults.append(
            Fault(
                title=f"{server} has no memory limit.",
                evidence="maxmemory is 0: it grows until the machine has no memory left.",
                remedy="Give it a limit, and write that into its configuration file.",
                command="redis-cli CONFIG SET maxmemory 256mb",
            )
        )
    return faults


@doctor_check(
    "cache.hit_rates",
    "The caches of the process that is asked answer most look-ups.",
    Severity.WARNING,
    needs=Needs.NOTHING,
)
async def hit_rates(examination: Examination) -> list[Fault]:
    """Look at each namespace that was asked often enough to judge it."""
    cache = await examination.lend(Cache)
    if cache is None:
        return []
    faults = []
    for name, seen in sorted(cache.statistics().namespaces.items()):
        hits = seen.memory_hits + seen.shared_hits
        lookups = hits + seen.misses
        if lookups < LEAST_LOOKUPS or hits >= LEAST_HITS * lookups:
            continue
        faults.append(
            Fault(
                title=f"The cache of {name} is of little use.",
                evidence=f"{hits / lookups:.0%} of {plural(lookups, 'look-up')} were hits; "
                f"{plural(seen.evictions, 'value')} had to give way to others.",
                remedy="Give it more room if values had to give way; otherwise callers differ "
                "more than it can hold, or what it holds changes all the time.",
                settings={"MUNIMENT_CACHE_ENTRIES": str(examination.settings.cache_entries * 2)}
                if seen.evictions
                else {},
            )
        )
    return faults


checks: list[DoctorCheck] = [redis, hit_rates]
