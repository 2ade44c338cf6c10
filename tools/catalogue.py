"""Write what the migrations leave behind, for the doctor to compare an installation with.

It is read off a database of its own, in a server that is thrown away afterwards.
"""

import asyncio
import tempfile
from pathlib import Path

import msgspec

from muniment.db.checks.catalogue import FILE, Catalogue, read_catalogue
from muniment.db.installation import installation, upgrade
from muniment.settings import Settings
from tools.gates.report import PROJECT


def render(catalogue: Catalogue) -> str:
    """Return the text of the file: one entry a line, so that changes can be read."""
    parts = []
    for name, entries in msgspec.to_builtins(catalogue).items():
        lines = ",\n".join(f"    {msgspec.json.encode(entry).decode()}" for entry in entries)
        parts.append(f'  "{name}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


async def read(settings: Settings) -> Catalogue:
    """Return the catalogue of a freshly made installation."""
    with installation(settings) as target:
        await asyncio.to_thread(upgrade, target)
        async with (
            target.open(settings, statement_timeout=30) as database,
            database.operator() as work,
        ):
            return await read_catalogue(work)


def main() -> None:
    """Read and write; say how much there is."""
    with tempfile.TemporaryDirectory(prefix="muniment-") as folder:
        Path(folder).chmod(0o755)
        catalogue = asyncio.run(read(Settings(data_dir=Path(folder))))
    path = PROJECT / "src" / "muniment" / "db" / "checks" / FILE
    path.write_text(render(catalogue), encoding="utf-8")
    print(f"{path.relative_to(PROJECT)}: {len(catalogue.tables)} tables and what belongs to them.")


if __name__ == "__main__":
    main()
