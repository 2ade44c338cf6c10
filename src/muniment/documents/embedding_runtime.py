"""Runs an ONNX text encoder: token ids in, one mean-pooled unit vector for each text out.

OpenVINO is about 4 times as fast as ONNX Runtime on the packaged model (benchmarks/embed.py): it
uses bfloat16 where the processor has it and multiplies int8 weights in int8. ONNX Runtime serves
where there is no OpenVINO wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from muniment.documents.embedding_model import EmbeddingModelUnusable

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenBatch:
    """Texts of similar length, ready for the encoder."""

    rows: npt.NDArray[np.intp]
    """Where the texts stand in the caller's list, shape (texts,)."""
    ids: Ids
    """Token ids, padded with 0 to the longest text, shape (texts, tokens)."""
    mask: Ids
    """1 for a token and 0 for padding, shape (texts, tokens)."""

    def feed(self, names: Iterable[str]) -> dict[str, Ids]:
        """The encoder's inputs by name; BERT's `token_type_ids` are all 0 for one segment."""
        values = {"input_ids": self.ids, "attention_mask": self.mask}
        return {name: values.get(name, np.zeros_like(self.ids)) for name in names}


ACTIVATION_GROUP = 64
"""Activations that share a scale where OpenVINO multiplies int8 weights in int8.

Measured on Cranfield, bfloat16: mean cosine with float32 vectors, nDCG@10 (float32: 0.371),
passages for each second of a processor (float32: 20):
off 0.99997, 0.371, 35 · 64 0.9996, 0.372, 43 · 128 0.9994, 0.371, 49 · 384 0.998, 0.372, 49.
"""

Deliver = Callable[[TokenBatch, Floats], None]


class Encoder(Protocol):
    """A loaded model."""

    dimensions: int

    def run(self, batches: Iterable[TokenBatch], deliver: Deliver) -> None:
        """Encode each batch and hand its unit vectors, shape (texts, dimensions), to `deliver`.

        Works for one caller at a time. Batches are drawn one by one, so a caller stops the run
        by raising from its iterator.
        """


def load_encoder(weights: Path, *, threads: int, streams: int) -> Encoder:
    """Load a model on the fastest runtime that is installed.

    Args:
        weights: an ONNX file whose first output has one vector for each token, shape
            (texts, tokens, dimensions), or one for each text, shape (texts, dimensions).
        threads: processor threads to use.
        streams: batches encoded at the same time by those threads: as many as threads for
            throughput, 1 for latency.

    Raises:
        EmbeddingModelUnusable: the file is not such a model.
    """
    encoder = OpenvinoEncoder if find_spec("openvino") else OnnxruntimeEncoder
    return encoder(weights, threads=threads, streams=streams)


class OpenvinoEncoder:
    """The model on OpenVINO, pooling included."""

    def __init__(self, weights: Path, *, threads: int, streams: int) -> None:
        # OpenVINO gives the thread that loads it another stack for signals, and frees that stack
        # in whichever thread lets go of it last: the next signal, a polite SIGTERM even, would
        # then end the process with a segmentation fault. So it is loaded by a thread that ends.
        with ThreadPoolExecutor(1, "load openvino") as loading:
            loading.submit(self._load, weights, threads, streams).result()

    def _load(self, weights: Path, threads: int, streams: int) -> None:
        import openvino

        core = openvino.Core()
        bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        try:
            compiled = core.compile_model(
                _pooled(core.read_model(weights)),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
                    "DYNAMIC_QUANTIZATION_GROUP_SIZE": ACTIVATION_GROUP,
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": streams,
                    # Pinned threads of several processes would queue for the same processor.
                    "ENABLE_CPU_PINNING": False,
                    # Kernels are kept for each shape of a batch; thousands would pile up.
                    "CPU_RUNTIME_CACHE_CAPACITY": 128,
                },
            )
            self.dimensions = int(compiled.output(0).get_partial_shape()[1].get_length())
        except RuntimeError as error:
            raise EmbeddingModelUnusable(f"{weights} is not an ONNX encoder: {error}") from error
        self._inputs = [port.get_any_name() for port in compiled.inputs]
        self._requests = [compiled.create_infer_request() for _ in range(streams)]

    def run(self, batches: Iterable[TokenBatch], deliver: Deliver) -> None:
        """Encode the batches, as many at a time as there are streams."""
        pending: list[tuple[Any, TokenBatch]] = []
        idle = list(self._requests)
        try:
            for batch in batches:
                if not idle:
                    idle.append(_collect(pending.pop(0), deliver))
                request = idle.pop()
                request.start_async(batch.feed(self._inputs), share_inputs=False)
                pending.append((request, batch))
            while pending:
                _collect(pending.pop(0), deliver)
        finally:
            for request, _ in pending:
                request.wait()


def _collect(started: tuple[Any, TokenBatch], deliver: Deliver) -> Any:
    request, batch = started
    request.wait()
    deliver(batch, _unit(request.get_output_tensor(0).data))
    return request


def _pooled(model: Any) -> Any:
    """The model with mean pooling behind it, when it gives a vector for each token.

    As in Sentence-BERT (Reimers and Gurevych 2019): the mean over the text's tokens. Only the
    direction matters, so the sum serves and the caller scales it.
    """
    import openvino
    from openvino import opset8 as ops

    _drop_safe_softmax(model)
    hidden = model.get_results()[0].input(0).get_source_output()
    if hidden.get_partial_shape().rank.get_length() == 3:
        mask = ops.convert(model.input("attention_mask"), "f32")
        total = ops.matmul(ops.unsqueeze(mask, [1]), hidden, False, False)
        hidden = ops.squeeze(total, [1]).output(0)
    return openvino.Model([ops.result(hidden)], model.get_parameters(), "pooled")


def _drop_safe_softmax(model: Any) -> None:
    """Take out what PyTorch's exporter adds for rows without any token to attend to.

    The export replaces a not-a-number after each softmax by 0. Every text has its markers, so
    there is no such row, and without that step OpenVINO fuses the attention (15 % faster).
    """
    for test in model.get_ordered_ops():
        if test.get_type_name() != "IsNaN" or test.input_value(0).get_node().get_type_name() != (
            "Softmax"
        ):
            continue
        softmax = test.input_value(0)
        for chosen in test.output(0).get_target_inputs():
            select = chosen.get_node()
            if select.get_type_name() == "Select" and select.input_value(2) == softmax:
                for reader in select.output(0).get_target_inputs():
                    reader.replace_source_output(softmax)
    model.validate_nodes_and_infer_types()


class OnnxruntimeEncoder:
    """The model on ONNX Runtime; encodes one batch at a time whatever the streams."""

    def __init__(self, weights: Path, *, threads: int, streams: int) -> None:
        del streams
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(weights), options, providers=["CPUExecutionProvider"]
            )
            self.dimensions = int(self._session.get_outputs()[0].shape[-1])
        except Exception as error:  # its errors share no base but Exception
            raise EmbeddingModelUnusable(f"{weights} is not an ONNX encoder: {error}") from error
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._output = self._session.get_outputs()[0].name

    def run(self, batches: Iterable[TokenBatch], deliver: Deliver) -> None:
        """Encode the batches one after the other."""
        for batch in batches:
            (hidden,) = self._session.run([self._output], batch.feed(self._inputs))
            if hidden.ndim == 3:
                hidden = np.matmul(batch.mask[:, None, :].astype(np.float32), hidden)[:, 0, :]
            deliver(batch, _unit(hidden))


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)
    return unit
