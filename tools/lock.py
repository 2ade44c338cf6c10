"""Write constraints.txt: the exact version of every package that the project installs.

The resolver sees only package names; the file it writes holds only `name==version` lines, so it
is the same whichever index or local folder the wheels came from.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

EXTRAS = "ocr,ocr-headless,eval,dev"
HEADER = """\
# The exact set of packages that make installs and CI tests. Written by `make lock`: do not edit.
"""


def resolve(project: Path) -> dict[str, str]:
    """Return the version that pip picks for each package of the project and all its extras.

    Packages that are installed already do not influence the choice.

    Raises:
        subprocess.CalledProcessError: pip found no set of versions that fits.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "-qq", "--dry-run"),
                *("--ignore-installed", "--report", str(report), f"{project}[{EXTRAS}]"),
            ],
            check=True,
        )
        installs = json.loads(report.read_text())["install"]
    versions = {item["metadata"]["name"]: item["metadata"]["version"] for item in installs}
    del versions["muniment"]
    return versions


def render(versions: dict[str, str]) -> str:
    """Return the text of a constraints file: normalized names in order, local versions dropped."""
    pins = {
        re.sub(r"[-_.]+", "-", name).lower(): version.partition("+")[0]
        for name, version in versions.items()
    }
    return HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))


def main() -> None:
    """Resolve and write; say how many packages are pinned."""
    project = Path(__file__).resolve().parents[1]
    versions = resolve(project)
    (project / "constraints.txt").write_text(render(versions))
    print(f"constraints.txt pins {len(versions)} packages.")


if __name__ == "__main__":
    main()
