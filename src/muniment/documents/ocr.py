"""Reading text from images with RapidOCR, an optional extra (`pip install muniment[ocr]`)."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Iterator, Sequence
from typing import Any

_SAME_LINE = 0.6
_SHORTEST_SIDE = 640
_LONGEST_SIDE = 2200
_STRIP_PIXELS = 500_000
_MOST_PIXELS = 60_000_000


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

    return RapidOCR(
        intra_op_num_threads=1,
        inter_op_num_threads=1,
        # Never enlarge a strip: `read_image` has brought the whole image to a good size.
        det_limit_side_len=32,
        rec_batch_num=1,
        use_cls=False,
    )


def read_image(image: bytes) -> str:
    """Return the text of an encoded image (PNG, JPEG, …), lines from top to bottom.

    Raises:
        ValueError: the image cannot be decoded.
    """
    import cv2
    import numpy as np

    _check_size(image)
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("The image cannot be decoded.")
    scale = min(_LONGEST_SIDE / max(pixels.shape[:2]), _SHORTEST_SIDE / min(pixels.shape[:2]))
    scale = min(_LONGEST_SIDE / max(pixels.shape[:2]), max(scale, 1.0))
    if abs(scale - 1) > 0.01:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    boxes: list[tuple[Any, str]] = []
    for top, bottom in _strips(pixels):
        found, _ = _engine()(pixels[top:bottom])
        for corners, text, _score in found or ():
            boxes.append(([(x, y + top) for x, y in corners], text))
    return _lines(boxes)


def _check_size(image: bytes) -> None:
    """Refuse an image by its header whose pixels alone would fill the process."""
    import io

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as header:
            width, height = header.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError("The image cannot be decoded.") from error
    if width * height > _MOST_PIXELS:
        raise ValueError(f"The image is too large to be read: {width} x {height} pixels.")


def _strips(pixels: Any) -> Iterator[tuple[int, int]]:
    """Yield top and bottom of strips to read one by one, which bounds the memory it takes.

    Finding text takes about 300 bytes a pixel: 600 MB for a page at 150 dpi, 150 MB for a strip.
    Strips are cut where the image is emptiest, between two lines of text.
    """
    import numpy as np

    height, width = pixels.shape[:2]
    ink = np.abs(np.diff(pixels[:, :, 1].astype(np.int16), axis=1)).sum(axis=1)
    count = -(-height * width // _STRIP_PIXELS)
    slack = height // count // 4
    top = 0
    for number in range(1, count):
        earliest = height * number // count - slack
        window = ink[earliest : earliest + 2 * slack]
        bottom = earliest + int(window.argmin()) if window.size else earliest
        yield top, bottom
        top = bottom
    yield top, height


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
