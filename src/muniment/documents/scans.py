"""Pages and images without a text layer: recognized if the extra is installed, else said so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from muniment.documents.convert_errors import MalformedDocument, NoTextFound
from muniment.documents.ocr import OcrBudget, ocr_installed, read_image

if TYPE_CHECKING:
    from muniment.documents.extract import Limits

_INSTALL = "Text recognition is not installed: pip install 'muniment[ocr]'."
_SWITCHED_OFF = "Text recognition is switched off."
_DPI = 150


def read_scanned_pages(
    path: Path, wanted: list[int], limits: Limits, page_count: int
) -> tuple[dict[int, str], list[str]]:
    """Return the text of the `wanted` pages (from 1) of a PDF as far as it can be recognized.

    The second value says in sentences what was left out and why.
    """
    problem = _unavailable(limits)
    if problem:
        return {}, [f"{len(wanted)} of {page_count} pages have no text. {problem}"]
    from kreuzberg import render_pdf_page
    from kreuzberg.exceptions import KreuzbergError

    budget = OcrBudget(limits.ocr_pages, limits.ocr_seconds)
    texts: dict[int, str] = {}
    unreadable = 0
    for number in wanted:
        if not budget.take():
            break
        try:
            texts[number] = read_image(render_pdf_page(str(path), number - 1, dpi=_DPI))
        except (KreuzbergError, ValueError, RuntimeError):
            unreadable += 1
    problems = []
    if unreadable:
        problems.append(f"{unreadable} of {page_count} pages are scans that cannot be drawn.")
    if budget.exhausted:
        left = len(wanted) - len(texts) - unreadable
        problems.append(f"{left} of {page_count} pages are scans and were not read: too many.")
    return texts, problems


def read_scanned_image(image: bytes, limits: Limits) -> str:
    """Return the text in an image.

    Raises:
        NoTextFound: there is none, or text recognition is not available.
        MalformedDocument: the image cannot be decoded.
    """
    problem = _unavailable(limits)
    if problem:
        raise NoTextFound(f"The file is an image. {problem}")
    try:
        return read_image(image)
    except ValueError as error:
        raise MalformedDocument("The image is damaged and cannot be decoded.") from error


def _unavailable(limits: Limits) -> str | None:
    if not limits.ocr:
        return _SWITCHED_OFF
    return None if ocr_installed() else _INSTALL
