"""Reading text from images with RapidOCR, an optional extra (`pip install muniment[ocr]`)."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Sequence
from typing import Any

_SAME_LINE = 0.6


class OcrBudget:
    """Bounds how many pages of a file are read, and for how many seconds."""

    def __init__(self, pages: int, seconds: float) -> None:
        self._pages = pages
        self._until = time.monotonic() + seconds
        self.exhausted = False

    def take(self) -> bool:
        """Take one page from the budget; False if there is none left."""
        if self._pages <= 0 or time.monotonic() > self._until:
            self.exhausted = True
            return False
        self._pages -= 1
        return True


def ocr_installed() -> bool:
    """Tell whether the extra `ocr` is installed, without loading it."""
    return importlib.util.find_spec("rapidocr_onnxruntime") is not None


@functools.cache
def _engine() -> Any:
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)


def read_image(image: bytes) -> str:
    """Return the text of an encoded image (PNG, JPEG, …), lines from top to bottom.

    Raises:
        ValueError: the image cannot be decoded.
    """
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("The image cannot be decoded.")
    found, _ = _engine()(pixels)
    return _lines([(box, text) for box, text, _score in found or ()])


def _lines(boxes: Sequence[tuple[Any, str]]) -> str:
    """Order boxes by line, then from left to right; a tall gap starts a new paragraph."""
    placed = sorted(
        (
            (min(p[1] for p in box), max(p[1] for p in box), min(p[0] for p in box), text)
            for box, text in boxes
        ),
    )
    lines: list[list[tuple[float, float, float, str]]] = []
    for entry in placed:
        top, bottom = entry[0], entry[1]
        if lines and top < lines[-1][0][1] - _SAME_LINE * (bottom - top):
            lines[-1].append(entry)
        else:
            lines.append([entry])
    text: list[str] = []
    last_bottom: float | None = None
    for line in lines:
        height = line[0][1] - line[0][0]
        if last_bottom is not None and line[0][0] - last_bottom > height:
            text.append("")
        text.append(" ".join(entry[3] for entry in sorted(line, key=lambda entry: entry[2])))
        last_bottom = max(entry[1] for entry in line)
    return "\n".join(text)
