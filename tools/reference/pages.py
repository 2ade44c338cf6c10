"""Write the parts of docs/ that are read off the program, or tell which are out of date."""

import importlib
import sys
from pathlib import Path

from tools.gates.report import PROJECT
from tools.reference.markdown import replaced

SOURCES = {
    "configuration.md": "tools.reference.settings",
    "command-line.md": "tools.reference.commands",
    "http.md": "tools.reference.routes",
    "operations.md": "tools.reference.metrics",
    "doctor.md": "tools.reference.doctor",
}
"""Which module renders the written part of which page."""


def current(page: str, folder: Path = PROJECT / "docs") -> tuple[str, str]:
    """Return a page as it is and as it should be.

    Raises:
        ValueError: the page lacks the marks between which it is written.
    """
    text = (folder / page).read_text(encoding="utf-8")
    # Imported here because one part of the program may be broken while another is documented.
    return text, replaced(text, importlib.import_module(SOURCES[page]).render())


def main(pages: list[str]) -> None:
    """Write the named pages, or all of them."""
    for page in pages or SOURCES:
        found, wanted = current(page)
        if found != wanted:
            (PROJECT / "docs" / page).write_text(wanted, encoding="utf-8")
            print(f"docs/{page} is written anew.")


if __name__ == "__main__":
    main(sys.argv[1:])
