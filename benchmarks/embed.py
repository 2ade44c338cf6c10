"""Embedding speed: passages a second by length, and the time of a query.

Peers, alternating with ours in one run:
- ONNX Runtime on the same file, what a plain set-up does (always);
- sentence-transformers on PyTorch, when `--peer-python` names an interpreter that has it. It gets
  a BERT of the same shape with random weights: the weights do not change the time, and the
  published ones are not on every machine.

    python -m benchmarks.embed [--json] [--lengths 32,178] [--repeats 3] [--peer-python PATH]

One table, then one JSON line. Medians; wall time, and processor time of our own process because
machines are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muniment.documents.embedding import Embedder
from muniment.documents.embedding_model import DEFAULT_MODEL, find_model, read_tokenizer
from muniment.documents.embedding_runtime import OnnxruntimeEncoder, TokenBatch

PEER = Path(__file__).with_name("embed_peer.py")
POSITIONS = 512
PEER_BATCH = 32  # the default of sentence-transformers


@dataclass
class Timing:
    """Seconds of one measurement."""

    wall: float
    processor: float


def main() -> None:
    arguments = _arguments()
    lengths = [int(length) for length in arguments.lengths.split(",")]
    with (
        Embedder.load(max_tokens=POSITIONS, threads=arguments.threads) as embedder,
        _peer(arguments.peer_python, arguments.threads) as peer,
    ):
        contenders: dict[str, Callable[[list[str]], object]] = {
            "ours": embedder.embed,
            "onnxruntime": _plain_onnxruntime(arguments.threads),
        }
        if peer is not None:
            contenders["sentence-transformers"] = peer
        words = _one_token_words(embedder)
        by_length = {
            length: _passages(contenders, words, length, arguments.tokens, arguments.repeats)
            for length in lengths
        }
        queries = asyncio.run(_queries(embedder, words, contenders))
    report = {
        "benchmark": "embed",
        "model": DEFAULT_MODEL,
        "data": "random words of one token each",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "threads": arguments.threads,
        "passages_per_second": by_length,
        "query_milliseconds": queries,
        "ratio": _ratios(by_length),
        "repeat_with": " ".join(["python -m benchmarks.embed", *sys.argv[1:]]),
    }
    if not arguments.json:
        _print_table(report)
    print(json.dumps(report))


def _passages(
    contenders: dict[str, Callable[[list[str]], object]],
    words: list[str],
    length: int,
    tokens: int,
    repeats: int,
) -> dict[str, float]:
    """Median passages a second of each contender, alternating, after one warm-up each."""
    count = max(8, tokens // length)
    timings: dict[str, list[Timing]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        texts = _texts(words, length, count, seed=repeat)
        for name, embed in contenders.items():
            timing = _timed(embed, texts)
            if repeat:
                timings[name].append(timing)
    found = {
        name: round(count / statistics.median(timing.wall for timing in some), 1)
        for name, some in timings.items()
    }
    processor = statistics.median(timing.processor for timing in timings["ours"])
    return found | {"ours per processor second": round(count / processor, 1)}


async def _queries(
    embedder: Embedder, words: list[str], contenders: dict[str, Callable[[list[str]], object]]
) -> dict[str, float]:
    """Median and 95th percentile of distinct queries of 4 to 24 words, then under a bulk load."""
    rng = np.random.default_rng(7)
    texts = [" ".join(rng.choice(words, size=rng.integers(4, 25))) for _ in range(400)]
    await asyncio.gather(*map(embedder.embed_query, texts[:20]))
    idle = [await _query_seconds(embedder, text) for text in texts[20:200]]
    bulk = asyncio.create_task(embedder.embed_passages(_texts(words, 178, 4000, seed=9)))
    await asyncio.sleep(1)
    busy = [await _query_seconds(embedder, text) for text in texts[200:300]]
    bulk.cancel()
    await asyncio.gather(bulk, return_exceptions=True)
    found = {"ours p50": _ms(idle, 50), "ours p95": _ms(idle, 95)}
    found |= {"ours p50 while passages are embedded": _ms(busy, 50)}
    found |= {"ours p95 while passages are embedded": _ms(busy, 95)}
    for name, embed in contenders.items():
        if name != "ours":
            seconds = [_timed(embed, [text]).wall for text in texts[300:360]]
            found[f"{name} p50"] = _ms(seconds, 50)
    return found


async def _query_seconds(embedder: Embedder, text: str) -> float:
    start = time.perf_counter()
    await embedder.embed_query(text)
    return time.perf_counter() - start


def _timed(embed: Callable[[list[str]], object], texts: list[str]) -> Timing:
    wall, processor = time.perf_counter(), time.process_time()
    embed(texts)
    return Timing(time.perf_counter() - wall, time.process_time() - processor)


def _plain_onnxruntime(threads: int) -> Callable[[list[str]], object]:
    """The same file on ONNX Runtime: padded batches of 32 texts sorted by length."""
    files = find_model(DEFAULT_MODEL)
    encoder = OnnxruntimeEncoder(files.weights, threads=threads, streams=1)
    tokenizer = read_tokenizer(files)
    tokenizer.enable_truncation(POSITIONS)
    tokenizer.enable_padding()

    def batches(texts: list[str]) -> Iterator[TokenBatch]:
        ordered = sorted(texts, key=len)
        for start in range(0, len(ordered), PEER_BATCH):
            encodings = tokenizer.encode_batch_fast(ordered[start : start + PEER_BATCH])
            ids = np.asarray([encoding.ids for encoding in encodings])
            mask = np.asarray([encoding.attention_mask for encoding in encodings])
            yield TokenBatch(np.arange(start, start + len(ids)), ids, mask)

    return lambda texts: encoder.run(batches(texts), lambda *_: None)


@contextmanager
def _peer(python: str | None, threads: int) -> Iterator[Callable[[list[str]], object] | None]:
    """A process of the peer's environment that embeds lists of texts, one line at a time."""
    if python is None:
        yield None
        return
    tokenizer = find_model(DEFAULT_MODEL).tokenizer
    command = [python, str(PEER), str(tokenizer), str(threads), str(POSITIONS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def embed(texts: list[str]) -> object:
            stdin.write(json.dumps(texts) + "\n")
            stdin.flush()
            answer = stdout.readline()
            if not answer:
                raise SystemExit("The peer ended; run benchmarks/embed_peer.py to see why.")
            return json.loads(answer)

        embed(["ready"])
        yield embed
        stdin.close()


def _one_token_words(embedder: Embedder) -> list[str]:
    """Whole words of the vocabulary, so that a text of n words has n tokens."""
    vocabulary = embedder.tokenizer.get_vocab()
    return sorted(
        word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2
    )


def _texts(words: list[str], length: int, count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    # Two markers are added to each text.
    return [" ".join(rng.choice(words, size=length - 2)) for _ in range(count)]


def _ratios(by_length: dict[int, dict[str, float]]) -> dict[str, float]:
    """Ours over each peer, the median over the lengths."""
    peers = [name for name in next(iter(by_length.values())) if not name.startswith("ours")]
    return {
        peer: round(statistics.median(row["ours"] / row[peer] for row in by_length.values()), 2)
        for peer in peers
    }


def _ms(seconds: list[float], percentile: int) -> float:
    return round(1e3 * float(np.percentile(seconds, percentile)), 2)


def _print_table(report: Mapping[str, object]) -> None:
    by_length = report["passages_per_second"]
    queries = report["query_milliseconds"]
    assert isinstance(by_length, dict)
    assert isinstance(queries, dict)
    columns = list(next(iter(by_length.values())))
    print("passages a second".ljust(20) + "".join(column.rjust(27) for column in columns))
    for length, row in by_length.items():
        print(f"{length} tokens".ljust(20) + "".join(f"{row[name]:27}" for name in columns))
    print("\nquery, milliseconds")
    for name, value in queries.items():
        print(f"  {name:40}{value:8.2f}")
    print(f"\nours / peer: {report['ratio']}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="the JSON line only")
    parser.add_argument("--lengths", default="32,64,128,178,256,384", help="tokens of a passage")
    parser.add_argument("--tokens", type=int, default=12_000, help="tokens of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-python", help="interpreter that has sentence-transformers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
