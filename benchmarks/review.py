"""Reviewers who decide at once: how many decisions a second, and that none is lost.

Starts an installation of its own (database and API, as `muniment up` does) with a reconciliation
whose matches all wait for review. Each match is given to two reviewers, who decide differently, so
half of all that is asked must be answered with 409. What is counted is what was kept.

    python -m benchmarks.review [--json] [--matches 5000] [--reviewers 20] [--together 1]

Prints decisions kept a second, the time of answers in milliseconds, conflicts, and what was lost
(which must be nothing); then one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import uvloop

from muniment.cli.processes import serving
from muniment.cli.runtime import local_session
from muniment.db import Role, UnitOfWork, new_id
from muniment.settings import Settings, load_settings
from muniment.tenancy.keys.create import create_api_key

ACTIONS = ("accept", "reject")
STATUSES = {"accept": "accepted", "reject": "rejected"}
GROUP = 10
"""Records of a side that hang together by matches: the clusters that are made anew."""


@dataclass
class Reviewer:
    """What one reviewer has asked, and what came of it."""

    action: str
    kept: set[str] = field(default_factory=set)
    conflicts: int = 0
    other: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)


def main() -> None:
    arguments = _arguments()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.environ |= {
            "MUNIMENT_DATA_DIR": str(Path(name, "data")),
            "MUNIMENT_PORT": str(arguments.port),
            "MUNIMENT_RATE_LIMITS": "false",
            "MUNIMENT_LOG_LEVEL": "error",
        }
        settings = load_settings()
        with serving(settings):
            result = uvloop.run(_measure(settings, arguments))
    result |= {
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "load_before_and_after": [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    if not arguments.json:
        for key, value in result.items():
            print(f"{key:<24}{value}")
    print(json.dumps({"benchmark": "review"} | result))


async def _measure(settings: Settings, arguments: argparse.Namespace) -> dict[str, object]:
    async with local_session(settings, None) as local:
        async with local.database.unit_of_work(local.scope) as work:
            reconciliation_id = await _fill(work, arguments.matches)
            keys = [
                (await create_api_key(work, f"reviewer {number}", Role.EDITOR)).key
                for number in range(arguments.reviewers)
            ]
            rows = await work.connection.fetch("SELECT match_id FROM matches ORDER BY match_id")
        ids = [str(row["match_id"]) for row in rows]
        url = f"http://127.0.0.1:{arguments.port}/v1/reconciliations/{reconciliation_id}/decisions"
        begun = time.perf_counter()
        reviewers = await _review(url, keys, ids, arguments.together)
        seconds = time.perf_counter() - begun
        async with local.database.unit_of_work(local.scope) as work:
            matches = await work.connection.fetch("SELECT match_id, status FROM matches")
            noted = await work.connection.fetchval("SELECT count(*) FROM decisions")
    return _figures(reviewers, dict(map(tuple, matches)), noted, seconds, arguments)


async def _fill(work: UnitOfWork, matches: int) -> UUID:
    """Make a reconciliation whose matches join records of two datasets in groups."""
    run, reconciliation_id, left, right = work.connection, new_id(), new_id(), new_id()
    await run.execute(
        "INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name)"
        " SELECT org_id, $1, workspace_id, 'review' FROM workspaces LIMIT 1",
        reconciliation_id,
    )
    for side, dataset_id in (("left", left), ("right", right)):
        await run.execute(
            "INSERT INTO datasets (org_id, dataset_id, reconciliation_id, side, name, status,"
            " row_count, version, originals_hash, cleaned_hash)"
            " VALUES (current_org_id(), $1, $2, $3, $3, 'ready', $4, 1, $5, $5)",
            dataset_id,
            reconciliation_id,
            side,
            matches,
            bytes(32),
        )
        await run.execute(
            "INSERT INTO records (org_id, reconciliation_id, dataset_id, record_id, side, row,"
            " original, cluster_id, added_version, changed_version)"
            " SELECT current_org_id(), $1, $2, md5($3 || n)::uuid, $3, n, '{}',"
            " md5($3 || n)::uuid, 1, 1 FROM generate_series(1, $4::bigint) AS n",
            reconciliation_id,
            dataset_id,
            side,
            matches,
        )
    # Left n with right n and, but for the last of each group, with right n + 1.
    await run.execute(
        "INSERT INTO matches (org_id, reconciliation_id, match_id, left_record_id,"
        " right_record_id, left_row, right_row, found, confidence, stage)"
        " SELECT current_org_id(), $1, md5('match' || l || '-' || r)::uuid,"
        " md5('left' || l)::uuid, md5('right' || r)::uuid, l, r, 'review', 0.5, 'probabilistic'"
        " FROM generate_series(1, $2::bigint) AS l CROSS JOIN LATERAL"
        " (VALUES (l), (CASE WHEN l % $3 > 0 THEN l + 1 END)) AS other (r)"
        " WHERE r IS NOT NULL ORDER BY l, r LIMIT $2",
        reconciliation_id,
        matches,
        GROUP,
    )
    return reconciliation_id


async def _review(url: str, keys: list[str], ids: list[str], together: int) -> list[Reviewer]:
    shuffled = [random.Random(turn).sample(ids, len(ids)) for turn in (1, 2)]
    share = -(-2 * len(ids) // len(keys))
    shares = [order[at : at + share] for order in shuffled for at in range(0, len(ids), share)]
    reviewers = [Reviewer(ACTIONS[number % 2]) for number in range(len(shares))]
    await asyncio.gather(
        *(
            _decide(url, key, reviewer, own, together)
            for key, reviewer, own in zip(keys, reviewers, shares, strict=True)
        )
    )
    return reviewers


async def _decide(url: str, key: str, reviewer: Reviewer, own: list[str], together: int) -> None:
    """Go through a share of the matches; leave to others what they were faster with."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        left = list(own)
        while left:
            some = left[:together]
            asked = [{"match_id": one, "action": reviewer.action, "version": 1} for one in some]
            begun = time.perf_counter()
            response = await client.post(url, json={"decisions": asked})
            reviewer.milliseconds.append((time.perf_counter() - begun) * 1000)
            gone = set(some)
            if response.status_code == 200:
                reviewer.kept |= gone
            elif response.status_code == 409:
                gone = {fault["match_id"] for fault in response.json()["errors"]}
                reviewer.conflicts += len(gone)
            else:
                reviewer.other[response.status_code] += 1
                if response.status_code == 503:
                    continue
            left = [one for one in left if one not in gone]


def _figures(
    reviewers: list[Reviewer],
    statuses: dict[UUID, str],
    noted: int,
    seconds: float,
    arguments: argparse.Namespace,
) -> dict[str, object]:
    kept = Counter(match for reviewer in reviewers for match in reviewer.kept)
    wrong = sum(
        statuses[UUID(match)] != STATUSES[reviewer.action]
        for reviewer in reviewers
        for match in reviewer.kept
    )
    milliseconds = [one for reviewer in reviewers for one in reviewer.milliseconds]
    cuts = statistics.quantiles(milliseconds, n=100)
    return {
        "matches": len(statuses),
        "reviewers": arguments.reviewers,
        "together": arguments.together,
        "seconds": round(seconds, 1),
        "decisions_per_second": round(len(kept) / seconds),
        "requests_per_second": round(len(milliseconds) / seconds),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "conflicts_409": sum(reviewer.conflicts for reviewer in reviewers),
        "other_answers": dict(sum((reviewer.other for reviewer in reviewers), Counter())),
        "kept_twice": sum(times > 1 for times in kept.values()),
        "lost": len(statuses) - len(kept) + wrong + abs(noted - len(kept)),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.review", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--matches", type=int, default=5000)
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--together", type=int, default=1, help="decisions of a request")
    parser.add_argument("--port", type=int, default=18643, help="port that the API listens on")
    return parser.parse_args()


if __name__ == "__main__":
    main()
