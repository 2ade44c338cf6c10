"""Search latency through HTTP, uncached: what a client waits for, and where the time goes.

Asks a running server, one request at a time, 200 distinct questions drawn from its own documents:
titles and headings, and runs of 3 to 8 words out of passages. Fill it before, for example with
`muniment ingest --wait DIR`; wait until it has nothing else to do.

    MUNIMENT_URL=... MUNIMENT_API_KEY=... python -m benchmarks.search [--json] [--queries 200]
        [--repeats 3] [--modes hybrid,lexical,semantic]

One table, then one JSON line. Milliseconds; of the repeats, each with questions of its own, the
median of each percentile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np

PERCENTILES = (50, 95, 99)
PARTS = ("http", "total", "embed", "search")
WARM_UP = 30
_WORD = re.compile(r"\w[\w'.-]*")


def main() -> None:
    arguments = _arguments()
    url = os.environ.get("MUNIMENT_URL", "http://127.0.0.1:8000")
    key = os.environ.get("MUNIMENT_API_KEY")
    if not key:
        sys.exit("Set MUNIMENT_API_KEY (and MUNIMENT_URL) to those of the running server.")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        modes = arguments.modes.split(",")
        needed = WARM_UP + len(modes) * arguments.repeats * arguments.queries
        drawn, documents = _draw(client, needed)
        questions = iter(drawn)
        for _ in range(WARM_UP):
            _ask(client, next(questions), "hybrid")
        figures = {mode: [] for mode in modes}  # type: dict[str, list[dict[str, float]]]
        for _ in range(arguments.repeats):
            for mode in modes:
                some = [next(questions) for _ in range(arguments.queries)]
                figures[mode].append(_measure(client, some, mode))
    report = {
        "benchmark": "search",
        "data": f"{documents} documents of the server",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "load_average": round(os.getloadavg()[0], 1),
        "queries": arguments.queries,
        "milliseconds": {mode: _medians(runs) for mode, runs in figures.items()},
        "repeat_with": " ".join(["python -m benchmarks.search", *sys.argv[1:]]),
    }
    if not arguments.json:
        _print_table(report)
    print(json.dumps(report))


def _draw(client: httpx.Client, count: int) -> tuple[list[str], int]:
    """Return distinct questions out of the server's documents, and how many of those there are."""
    chance = random.Random(11)
    documents = list(_documents(client))
    filled = [document for document in documents if document["chunk_count"]]
    chance.shuffle(filled)
    questions: dict[str, None] = {}
    for document in filled:
        page = client.get(f"/v1/documents/{document['id']}/chunks", params={"limit": 20})
        page.raise_for_status()
        for chunk in page.json()["items"]:
            words = _WORD.findall(chunk["text"])
            if len(words) > 20:
                start = chance.randrange(len(words) - 8)
                questions[" ".join(words[start : start + chance.randint(3, 8)])] = None
            headings = [document["title"], *chunk["heading_path"]]
            questions.update((heading, None) for heading in headings if " " in heading)
        if len(questions) >= 2 * count:
            break
    drawn = list(questions)
    if len(drawn) < count:
        sys.exit(f"The server's documents give {len(drawn)} questions; {count} are needed.")
    return chance.sample(drawn, count), len(documents)


def _documents(client: httpx.Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        parameters = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        answer = client.get("/v1/documents", params=parameters)
        answer.raise_for_status()
        page = answer.json()
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _ask(client: httpx.Client, question: str, mode: str) -> dict[str, float]:
    start = time.perf_counter()
    answer = client.post("/v1/search", json={"query": question, "mode": mode, "limit": 10})
    seconds = time.perf_counter() - start
    answer.raise_for_status()
    body = answer.json()
    if body["cache"] != "miss":
        sys.exit("A question was answered from a cache: they are not distinct.")
    return {"http": seconds * 1000} | body["timings_ms"]


def _measure(client: httpx.Client, questions: list[str], mode: str) -> dict[str, float]:
    times = [_ask(client, question, mode) for question in questions]
    return {
        f"{part} p{percentile}": float(np.percentile([one[part] for one in times], percentile))
        for part in PARTS
        for percentile in PERCENTILES
    }


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 1) for name in runs[0]}


def _print_table(report: dict[str, Any]) -> None:
    print(f"{'':10}" + "".join(f"{part:>24}" for part in PARTS))
    print(f"{'mode':10}" + "".join(f"{f'p{one}':>8}" for _ in PARTS for one in PERCENTILES))
    for mode, figures in report["milliseconds"].items():
        print(f"{mode:10}" + "".join(f"{value:8.1f}" for value in figures.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Search latency through HTTP.")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--queries", type=int, default=200, help="distinct questions a repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--modes", default="hybrid,lexical,semantic")
    return parser.parse_args()


if __name__ == "__main__":
    main()
