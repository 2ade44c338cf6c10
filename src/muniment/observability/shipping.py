"""The Grafana dashboards and Prometheus rules that come with the package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from muniment.observability.errors import ShippedFilesUnwritable

_KINDS = {"grafana": ".json", "prometheus": ".yml"}


def shipped_files() -> Iterator[tuple[str, str]]:
    """Yield path and text of each file, as `grafana/overview.json`."""
    for kind, ending in _KINDS.items():
        folder = files("muniment.observability").joinpath("shipped", kind)
        for file in sorted(folder.iterdir(), key=lambda each: each.name):
            if file.name.endswith(ending):
                yield f"{kind}/{file.name}", file.read_text(encoding="utf-8")


def write_shipped(folder: Path) -> list[Path]:
    """Write all files below a folder, over those that are there, and return their paths.

    Raises:
        ShippedFilesUnwritable: the folder cannot be written to.
    """
    written = []
    for name, text in shipped_files():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ShippedFilesUnwritable(f"{path}: {error.strerror}.") from error
        written.append(path)
    return written
