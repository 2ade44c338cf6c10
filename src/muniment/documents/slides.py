"""The words of a presentation by slide, straight from its XML."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from muniment.documents.chunk import Page

_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_LARGEST_SLIDE = 32 * 1024 * 1024
_SHORTEST_CLUE = 4
_MOST_CLUES = 8


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


def place_slides(text: str, slides: Iterable[tuple[int, str]]) -> list[Page]:
    """Find where the slides begin in the converted text, which goes through them in order.

    A slide begins at the line with the earliest of its own paragraphs after the beginning of the
    slide before it. One that cannot be found counts with the one before it.
    """
    starts: list[tuple[int, int]] = []
    position = 0
    for number, content in slides:
        clues = [line for line in content.split("\n") if len(line) >= _SHORTEST_CLUE]
        found = [text.find(clue.strip(), position) for clue in clues[:_MOST_CLUES]]
        places = [place for place in found if place >= 0]
        if places:
            start = text.rfind("\n", 0, min(places)) + 1
            starts.append((number, start))
            position = text.find("\n", min(places)) + 1 or len(text)
    ends = [start for _, start in starts[1:]] + [len(text)]
    return [
        Page(number, start if index else 0, end)
        for index, ((number, start), end) in enumerate(zip(starts, ends, strict=True))
    ]
