import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from muniment.documents import embedding
from muniment.documents.embedding import Embedder, EmbeddingStopped
from muniment.documents.embedding_model import (
    DEFAULT_MODEL,
    EmbeddingModelUnusable,
    find_model,
    read_tokenizer,
)
from muniment.documents.embedding_runtime import (
    OnnxruntimeEncoder,
    OpenvinoEncoder,
    TokenBatch,
)

SENTENCES = [
    "The auditor signed the annual accounts of the company.",
    "Yearly financial statements were approved by the accountants.",
    "The cat slept in the sun all afternoon.",
]


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    with Embedder.load(threads=2) as embedder:
        yield embedder


@pytest.fixture
def copied_model(tmp_path: Path) -> Path:
    files = find_model(DEFAULT_MODEL)
    folder = tmp_path / "my model"
    folder.mkdir()
    shutil.copy(files.weights, folder / "model.onnx")
    shutil.copy(files.tokenizer, folder / "tokenizer.json")
    return folder


def test_vectors_are_unit_length_and_near_for_near_meanings(embedder: Embedder) -> None:
    vectors = embedder.embed(SENTENCES)
    assert vectors.shape == (3, embedder.dimensions) == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > 0.5
    assert similarity[0, 2] < similarity[0, 1] / 2


def test_agrees_with_the_same_weights_in_float32(embedder: Embedder) -> None:
    files = find_model(DEFAULT_MODEL)
    tokenizer = read_tokenizer(files)
    reference = OnnxruntimeEncoder(files.weights, threads=1, streams=1)
    assert reference.dimensions == 384
    texts = [*SENTENCES, " ".join(SENTENCES * 6), ""]
    expected = np.empty((len(texts), 384), dtype=np.float32)
    for row, text in enumerate(texts):
        ids = np.asarray([tokenizer.encode(text).ids])
        batch = TokenBatch(np.array([row]), ids, np.ones_like(ids))
        reference.run([batch], lambda done, part: expected.__setitem__(done.rows, part))
    cosines = (embedder.embed(texts) * expected).sum(axis=1)
    assert cosines.min() > 0.997


def test_order_is_kept_over_many_batches(embedder: Embedder) -> None:
    texts = [f"number {n} " + "padding " * (n % 37) for n in range(400)]
    vectors = embedder.embed(texts)
    for row in (0, 1, 36, 37, 399):
        alone = embedder.embed([texts[row]])[0]
        assert vectors[row] @ alone > 0.999


def test_nothing_to_embed(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "\x00\x01",
        "lone \ud800 surrogate",
        "\u202eright to left\u200b",
        "\U0001f9ea" * 50,
        "e" + "\u0301" * 5000,
        "x" * 1_000_000,
        "word " * 200_000,
        "\u4e2d\u6587" * 2000,
        "[CLS] [SEP] [PAD] [MASK]",
    ],
    ids=lambda text: f"{text[:8]!a}x{len(text)}",
)
async def test_any_text_has_a_vector(embedder: Embedder, text: str) -> None:
    vector = embedder.embed([text, "a neighbour"])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(await embedder.embed_query(text)) == pytest.approx(1, abs=1e-5)
    assert embedder.count_tokens(text[:5000]) >= 0


def test_text_beyond_the_limit_does_not_count(embedder: Embedder) -> None:
    head = "alpha beta gamma " * 100
    first, second = embedder.embed([head + "cats", head + "finance"])
    assert first @ second == pytest.approx(1, abs=1e-5)


def test_counts_tokens_without_markers(embedder: Embedder) -> None:
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("two words") == 2
    assert embedder.count_tokens("word " * 1000) == 1000
    assert embedder.tokenizer.encode("word " * 1000, add_special_tokens=False).ids[-1] != 0


def test_model_id_names_model_weights_and_limit(embedder: Embedder) -> None:
    assert embedder.model_id == f"{DEFAULT_MODEL}-{find_model(DEFAULT_MODEL).fingerprint}-256"
    assert embedder.max_tokens == 256
    assert embedder.tokenizer_path.name == "tokenizer.json"


async def test_query_vectors_are_kept_and_read_only(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await embedder.embed_query("annual accounts")
    assert await embedder.embed_query("annual accounts") is first
    assert first @ embedder.embed(["annual accounts"])[0] > 0.999
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    monkeypatch.setattr(embedding, "QUERY_SECONDS", -1.0)
    assert await embedder.embed_query("annual accounts") is not first


async def test_oldest_query_vector_goes_first(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await embedder.embed_query("first")
    monkeypatch.setattr(embedding, "QUERIES_KEPT", len(embedder._queries._vectors))
    await embedder.embed_query("first")
    await embedder.embed_query("one too many")
    assert await embedder.embed_query("first") is kept


async def test_very_long_query_is_not_kept(embedder: Embedder) -> None:
    text = "word " * 1000
    assert await embedder.embed_query(text) is not await embedder.embed_query(text)


async def test_queries_answer_while_passages_are_embedded(embedder: Embedder) -> None:
    bulk = asyncio.create_task(embedder.embed_passages(["word " * 250] * 300))
    answered = 0
    while not bulk.done() and answered < 5:
        await asyncio.wait_for(embedder.embed_query(f"query {answered}"), timeout=30)
        answered += 1
    assert answered == 5
    assert not bulk.done()
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk


async def test_cancelled_passages_make_room(embedder: Embedder) -> None:
    task = asyncio.create_task(embedder.embed_passages(["word " * 250] * 20_000))
    # The lock is taken by the thread once the work has begun.
    async with asyncio.timeout(30):
        while not embedder._passage_lock.locked():  # noqa: ASYNC110 - the thread sets no event
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    vectors = await asyncio.wait_for(embedder.embed_passages(SENTENCES), timeout=30)
    assert vectors.shape == (3, 384)


def test_several_threads_may_embed(embedder: Embedder) -> None:
    alone = embedder.embed(SENTENCES)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(embedder.embed(SENTENCES))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 4
    assert all(np.allclose(vectors, alone, atol=1e-6) for vectors in found)


def test_closed_embedder_refuses_work() -> None:
    embedder = Embedder.load()
    embedder.close()
    with pytest.raises(EmbeddingStopped):
        embedder.embed(SENTENCES)


FREED_BY_ANOTHER_THREAD = """
import gc, os, signal, threading
from muniment.documents.embedding import Embedder

signal.signal(signal.SIGTERM, lambda *_: print("asked to stop"))
held = [Embedder.load(threads=1)]

def let_go():
    held.pop().close()
    gc.collect()

thread = threading.Thread(target=let_go)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
print("fine")
"""


def test_signals_arrive_whichever_thread_has_freed_the_model() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FREED_BY_ANOTHER_THREAD],
        capture_output=True,
        text=True,
        check=False,
    )
    told = "asked to stop\nfine\n"
    assert (ended.returncode, ended.stdout) == (0, told), ended.stderr


def test_folder_with_a_model_serves_as_well(copied_model: Path, embedder: Embedder) -> None:
    with Embedder.load(str(copied_model), max_tokens=128, threads=1) as own:
        assert own.model_id.startswith("my-model-")
        assert own.model_id.endswith("-128")
        assert own.dimensions == 384
        assert np.allclose(own.embed(SENTENCES), embedder.embed(SENTENCES), atol=1e-3)


def test_fingerprint_follows_the_content(copied_model: Path) -> None:
    before = find_model(str(copied_model)).fingerprint
    with (copied_model / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert find_model(str(copied_model)).fingerprint != before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"no model", "not an ONNX encoder"),
        ("tokenizer.json", b"{}", "not a tokenizer"),
        ("config.json", b"[]", "cannot be read"),
        ("config.json", b'{"max_position_embeddings": 100}', "100 tokens"),
    ],
)
def test_broken_folder_is_told_apart(
    copied_model: Path, name: str, content: bytes, message: str
) -> None:
    (copied_model / name).write_bytes(content)
    with pytest.raises(EmbeddingModelUnusable, match=message):
        Embedder.load(str(copied_model))


@pytest.mark.parametrize("encoder", [OpenvinoEncoder, OnnxruntimeEncoder])
def test_each_runtime_names_a_broken_file(tmp_path: Path, encoder: type[OpenvinoEncoder]) -> None:
    weights = tmp_path / "model.onnx"
    weights.write_bytes(b"no model")
    with pytest.raises(EmbeddingModelUnusable, match="not an ONNX encoder"):
        encoder(weights, threads=1, streams=1)


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingModelUnusable, match=r"there is no file .*model\.onnx"):
        Embedder.load(str(tmp_path))


@pytest.mark.parametrize("max_tokens", [0, 7, 513])
def test_impossible_limits_are_refused(max_tokens: int) -> None:
    with pytest.raises(EmbeddingModelUnusable, match="8 to 512 tokens"):
        Embedder.load(max_tokens=max_tokens)


def test_exchanged_packaged_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muniment.documents.embedding_model._DEFAULT_WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(EmbeddingModelUnusable, match="SHA-256"):
        Embedder.load()
