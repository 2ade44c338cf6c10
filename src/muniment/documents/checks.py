"""What the doctor looks at where documents are kept and embedded."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np

from muniment.db.doctor import DoctorCheck, Examination, Fault, Needs, Severity, doctor_check
from muniment.documents.blobs import BlobStore
from muniment.documents.embedding import Embedder
from muniment.errors import MunimentError

LOW_BYTES, FULL_BYTES = 5 * 10**9, 500 * 10**6
LOW_SHARE = 0.05
_TOLERANCE = 1e-3


@doctor_check(
    "documents.blobs",
    "The blob store takes bytes, gives them back and forgets them.",
    Severity.ERROR,
    needs=Needs.NOTHING,
)
async def blobs(examination: Examination) -> list[Fault]:
    """Write a probe, read it and delete it."""
    folder = examination.settings.data_dir / "blobs"
    try:
        store = await examination.lend(BlobStore)
        if store is not None:
            await asyncio.to_thread(store.probe)
    except (MunimentError, OSError) as error:
        reason = error.detail if isinstance(error, MunimentError) else str(error)
        return [
            Fault(
                title="The blob store cannot be used.",
                evidence=reason,
                remedy=f"Make {folder} a folder that the processes may read and write, on the disk "
                "where the blobs are, or bring the disk back.",
                command=f"mkdir -p {folder} && chmod u+rwx {folder}",
            )
        ]
    return []


@doctor_check(
    "documents.embedder",
    "The embedding model can be loaded and embeds.",
    Severity.ERROR,
    needs=Needs.NOTHING,
    seconds=25.0,  # a machine that has much else to do loads it slowly
)
async def embedder(examination: Examination) -> list[Fault]:
    """Embed a query; its vector must be of unit length."""
    try:
        model = await examination.lend(Embedder)
        vector = None if model is None else await model.embed_query("Is anybody there?")
    except MunimentError as error:
        return [
            Fault(
                title="The embedding model cannot be used.",
                evidence=error.detail,
                remedy="Name the packaged model, or a folder with model.onnx and tokenizer.json, "
                "and restart the processes.",
                settings={"MUNIMENT_EMBED_MODEL": _default_model(examination)},
            )
        ]
    if vector is None or abs(float(np.linalg.norm(vector)) - 1.0) < _TOLERANCE:
        return []
    return [
        Fault(
            title="The embedding model gives no usable vectors.",
            evidence=f"The vector of a query has the length {float(np.linalg.norm(vector))}.",
            remedy="Use another model, and restart the processes.",
            settings={"MUNIMENT_EMBED_MODEL": _default_model(examination)},
        )
    ]


def _default_model(examination: Examination) -> str:
    return str(type(examination.settings).model_fields["embed_model"].default)


@doctor_check(
    "documents.disk",
    "The disk of the data directory has room.",
    Severity.ERROR,
    needs=Needs.NOTHING,
)
async def disk(examination: Examination) -> list[Fault]:
    """Look at what is free where blobs, and the embedded database, are kept."""
    folder = await asyncio.to_thread(_existing, examination.settings.data_dir)
    usage = await asyncio.to_thread(shutil.disk_usage, folder)
    full = usage.free < FULL_BYTES
    if not full and (usage.free >= LOW_BYTES or usage.free >= LOW_SHARE * usage.total):
        return []
    return [
        Fault(
            title="The disk of the data directory is nearly full.",
            evidence=f"{usage.free / 10**9:,.1f} of {usage.total / 10**9:,.0f} GB are free for "
            f"{folder}.",
            remedy="Free some space, or move the data directory to a larger disk and point "
            "MUNIMENT_DATA_DIR to it.",
            severity=Severity.ERROR if full else Severity.WARNING,
        )
    ]


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


checks: list[DoctorCheck] = [blobs, embedder, disk]
