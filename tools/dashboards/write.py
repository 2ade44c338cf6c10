"""Write the dashboards that are shipped: `python -m tools.dashboards.write`."""

from tools.dashboards import caches, database, jobs, objectives, overview, processes
from tools.dashboards.build import Dashboard
from tools.gates.report import PROJECT

DASHBOARDS: list[Dashboard] = [
    each.DASHBOARD for each in (overview, database, jobs, caches, processes, objectives)
]
FOLDER = PROJECT / "src" / "muniment" / "observability" / "shipped" / "grafana"


def main() -> None:
    """Write one file for each dashboard."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        path = FOLDER / f"{dashboard.name}.json"
        path.write_text(dashboard.json(), encoding="utf-8")
        print(f"wrote {path.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
