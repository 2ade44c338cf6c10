"""Texts to vectors with a local model."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from tokenizers import Tokenizer

from muniment.documents.embedding_model import (
    DEFAULT_MODEL,
    EmbeddingModelUnusable,
    find_model,
    read_tokenizer,
)
from muniment.documents.embedding_runtime import Encoder, Floats, TokenBatch, load_encoder
from muniment.documents.observers import EmbeddedThing, EmbeddingObserver
from muniment.errors import MunimentError
from muniment.spans import stage

BATCH_TOKENS = 1024
"""Tokens of one batch, padding included. Larger ones are no faster and delay a stop."""
BATCH_TEXTS = 64
SHORTEST_LIMIT = 8
LENGTH_STEP = 4
"""Lengths are padded to a multiple of this, so that the runtime meets few different shapes."""
WARM_QUERY_TOKENS = 32
TOKENIZED_TOGETHER = 1024
"""Texts tokenized at a time, which bounds the memory of a long list."""
CHARACTERS_PER_TOKEN = 64
"""A text is cut at this many characters for each token the model reads, before it is tokenized.
Natural text has 3 to 6."""
QUERIES_KEPT = 4096
LONGEST_QUERY_KEPT = 2000
"""Characters; longer queries are rare and would make the memory of kept queries unbounded."""
QUERY_SECONDS = 3600.0


class EmbeddingStopped(MunimentError):
    """The embedding was cancelled or the embedder closed before the work was done."""

    code: ClassVar[str] = "embedding_stopped"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "Embedding stopped"


class Embedder:
    """A text embedding model with its tokenizer; safe to use from several threads.

    Made by `load`. Passages are embedded one list at a time; queries have a model instance and
    a thread of their own, and passages pause between batches while a query is under way.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, max_tokens: int = 256, threads: int = 2
    ) -> None:
        files = find_model(model)
        most = files.positions or max(max_tokens, SHORTEST_LIMIT)
        if not SHORTEST_LIMIT <= max_tokens <= most:
            raise EmbeddingModelUnusable(
                f"{files.name} reads {SHORTEST_LIMIT} to {most} tokens, not {max_tokens}."
            )
        self.max_tokens = max_tokens
        """Tokens of a text that the model reads, its two markers (CLS and SEP) included."""
        self.tokenizer_path: Path = files.tokenizer
        self.model_id = f"{files.name}-{files.fingerprint}-{max_tokens}"
        """Names the vectors: equal ids mean comparable vectors. Letters, digits, `-`, `_`, `.`."""
        self._files = files
        self._truncating = read_tokenizer(files)
        self._truncating.enable_truncation(max_tokens)
        self._threads = threads
        self._query_encoder = load_encoder(files.weights, threads=1, streams=1)
        self.dimensions = self._query_encoder.dimensions
        """Components of a vector."""
        self._query_lock = threading.Lock()
        self._passage_encoder: Encoder | None = None
        self._passage_lock = threading.Lock()
        self._closed = threading.Event()
        self._priority = _QueryPriority()
        self._queries = _QueryVectors()
        self._observers: tuple[EmbeddingObserver, ...] = ()
        self._query_thread = ThreadPoolExecutor(1, "embed-query")
        self._passage_thread = ThreadPoolExecutor(1, "embed-passages")
        self._query_thread.submit(self._warm_up)

    @classmethod
    def load(cls, model: str = DEFAULT_MODEL, *, max_tokens: int = 256, threads: int = 2) -> Self:
        """Read a model from disk; takes half a second or more, so call it in a thread.

        The instance for passages is compiled when it is first needed.

        Args:
            model: `all-MiniLM-L6-v2` (comes with Muniment) or a folder with `model.onnx` and
                `tokenizer.json`.
            max_tokens: texts are cut after so many tokens, markers included. MiniLM was
                trained on 256 and has positions for 512.
            threads: processor threads for passages; a query uses one more.

        Raises:
            EmbeddingModelUnusable: no such model, not the file that was expected, or more
                tokens than the model has positions.
        """
        return cls(model, max_tokens=max_tokens, threads=threads)

    @contextmanager
    def observed_by(self, observer: EmbeddingObserver) -> Iterator[None]:
        """Report what is embedded while the context is open."""
        self._observers += (observer,)
        try:
            yield
        finally:
            self._observers = tuple(one for one in self._observers if one is not observer)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer without truncation or padding. Not to be changed."""
        return read_tokenizer(self._files)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, markers excluded: at most `max_tokens - 2` are read."""
        return len(self.tokenizer.encode(_encodable(text), add_special_tokens=False).ids)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Embed passages; returns float32 unit vectors of shape (len(texts), dimensions).

        Blocks; releases the GIL while it computes. Any string will do: an empty one gets the
        vector of the model's markers, a long one is cut at `max_tokens`, code points that
        UTF-8 cannot express count as `?`.

        Raises:
            EmbeddingStopped: the embedder was closed meanwhile or before.
        """
        return self._embed_passages(texts, threading.Event())

    async def embed_passages(self, texts: Sequence[str]) -> Floats:
        """Like `embed`, without blocking the event loop; cancelling stops after a batch."""
        stop = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._passage_thread, self._embed_passages, texts, stop
        )
        try:
            with self._waiting("passages"):
                return await work
        finally:
            stop.set()

    async def embed_query(self, text: str) -> Floats:
        """Embed a query; returns a float32 unit vector of shape (dimensions,).

        The vectors of the last 4,096 distinct queries are kept for an hour. The array is
        shared and read-only.
        """
        found = self._queries.get(text)
        if found is not None:
            for observer in self._observers:
                observer.query_known()
            return found
        with self._waiting("query"):
            vector = await asyncio.get_running_loop().run_in_executor(
                self._query_thread, self._embed_query, text
            )
        self._queries.put(text, vector)
        return vector

    def close(self) -> None:
        """Stop after the batches under way; the embedder is of no use afterwards."""
        self._closed.set()
        self._query_thread.shutdown(cancel_futures=True)
        self._passage_thread.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _warm_up(self) -> None:
        """Meet the shapes of usual queries: each costs 10 ms or more the first time."""
        for tokens in range(LENGTH_STEP, WARM_QUERY_TOKENS + 1, LENGTH_STEP):
            ids = np.ones((1, min(tokens, self.max_tokens)), dtype=np.int64)
            batch = TokenBatch(np.zeros(1, dtype=np.intp), ids, ids)
            with self._query_lock:
                self._query_encoder.run([batch], lambda *_: None)

    def _embed_query(self, text: str) -> Floats:
        vector = np.empty(self.dimensions, dtype=np.float32)

        def keep(_: TokenBatch, vectors: Floats) -> None:
            vector[:] = vectors[0]

        with self._query_lock, self._priority, self._timed("query", 1):
            self._query_encoder.run(self._batches([text]), keep)
        vector.flags.writeable = False
        return vector

    def _embed_passages(self, texts: Sequence[str], stop: threading.Event) -> Floats:
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)

        def keep(batch: TokenBatch, part: Floats) -> None:
            vectors[batch.rows] = part

        def polite() -> Iterator[TokenBatch]:
            for batch in self._batches(texts):
                if stop.is_set() or self._closed.is_set():
                    raise EmbeddingStopped
                self._priority.give_way()
                yield batch

        with self._passage_lock:
            if self._passage_encoder is None:
                self._passage_encoder = load_encoder(
                    self._files.weights, threads=self._threads, streams=self._threads
                )
            with self._timed("passages", len(texts)):
                self._passage_encoder.run(polite(), keep)
        return vectors

    @contextmanager
    def _waiting(self, what: EmbeddedThing) -> Iterator[None]:
        observers = self._observers
        for observer in observers:
            observer.began(what)
        try:
            with stage(f"embed {what}"):
                yield
        finally:
            for observer in observers:
                observer.ended(what)

    @contextmanager
    def _timed(self, what: EmbeddedThing, texts: int) -> Iterator[None]:
        began = time.perf_counter()
        yield
        for observer in self._observers:
            observer.embedded(what, texts, time.perf_counter() - began)

    def _batches(self, texts: Sequence[str]) -> Iterator[TokenBatch]:
        """Cut the texts into batches of similar length, so that little is spent on padding."""
        characters = self.max_tokens * CHARACTERS_PER_TOKEN
        for start in range(0, len(texts), TOKENIZED_TOGETHER):
            some = [
                _encodable(text.strip()[:characters])
                for text in texts[start : start + TOKENIZED_TOGETHER]
            ]
            rows = [encoding.ids for encoding in self._truncating.encode_batch_fast(some)]
            order = sorted(range(len(rows)), key=lambda row: len(rows[row]), reverse=True)
            while order:
                longest = max(-(-len(rows[order[0]]) // LENGTH_STEP), 1) * LENGTH_STEP
                size = max(1, min(BATCH_TEXTS, BATCH_TOKENS // longest))
                picked, order = order[:size], order[size:]
                yield _padded(picked, [rows[row] for row in picked], longest, start)


def _padded(picked: list[int], rows: list[list[int]], longest: int, start: int) -> TokenBatch:
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return TokenBatch(np.asarray(picked, dtype=np.intp) + start, ids, mask)


def _encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


class _QueryPriority:
    """Lets passages wait while queries are computed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0

    def __enter__(self) -> None:
        with self._changed:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def give_way(self) -> None:
        # Bounded: under a steady stream of queries passages still advance, if slowly.
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0, timeout=0.05)


class _QueryVectors:
    """The vectors of recent queries: least recently used go first, none is older than an hour."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, tuple[float, Floats]] = OrderedDict()

    def get(self, text: str) -> Floats | None:
        with self._lock:
            made, vector = self._vectors.get(text, (0.0, None))
            if vector is None or time.monotonic() - made > QUERY_SECONDS:
                return None
            self._vectors.move_to_end(text)
            return vector

    def put(self, text: str, vector: Floats) -> None:
        if len(text) > LONGEST_QUERY_KEPT:
            return
        with self._lock:
            self._vectors[text] = (time.monotonic(), vector)
            self._vectors.move_to_end(text)
            if len(self._vectors) > QUERIES_KEPT:
                self._vectors.popitem(last=False)
