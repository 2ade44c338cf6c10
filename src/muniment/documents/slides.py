"""The words of a presentation whose pictures are broken, straight from its XML."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_LARGEST_SLIDE = 32 * 1024 * 1024


def slide_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each slide, a paragraph a line; damaged slides are left out."""
    with zipfile.ZipFile(path) as archive:
        numbered = sorted(
            (int(match.group(1)), name)
            for name in archive.namelist()
            if (match := _SLIDE.fullmatch(name))
        )
        for number, name in numbered:
            if archive.getinfo(name).file_size > _LARGEST_SLIDE:
                continue
            try:
                # Expat since 2.4.1 bounds the expansion of entities.
                root = ElementTree.fromstring(archive.read(name))  # noqa: S314
            except (ElementTree.ParseError, zipfile.BadZipFile):
                continue
            paragraphs = (
                "".join(run.text or "" for run in paragraph.iter(f"{_DRAWING}t"))
                for paragraph in root.iter(f"{_DRAWING}p")
            )
            yield number, "\n".join(text for text in paragraphs if text.strip())
