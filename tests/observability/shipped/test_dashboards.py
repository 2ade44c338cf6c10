"""The dashboards that are shipped: as they are generated, well-formed, and about what there is."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from muniment.observability.shipping import shipped_files
from tests.observability.shipped.known_metrics import known_metrics, labels_of
from tests.promtool import run_promtool
from tools.dashboards.build import HERE, WIDTH
from tools.dashboards.write import DASHBOARDS, FOLDER

SHIPPED: dict[str, dict[str, Any]] = {
    name: json.loads(text) for name, text in shipped_files() if name.startswith("grafana/")
}
UNITS = {"s", "bytes", "short", "percentunit", "reqps", "ops"}
PANELS = [
    pytest.param(panel, id=f"{document['uid']}: {panel['title']}")
    for document in SHIPPED.values()
    for panel in document["panels"]
    if panel["type"] != "row"
]
DOCUMENTS = pytest.mark.parametrize("document", SHIPPED.values(), ids=SHIPPED)


def plain(expr: str) -> str:
    """Put values in the place of Grafana's variables."""
    for variable, value in (
        ("$__rate_interval", "5m"),
        ("$__range", "6h"),
        ("$job", ".*"),
        ("$instance", ".*"),
    ):
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def test_they_are_as_generated() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{each.name}.json" for each in DASHBOARDS}
    for dashboard in DASHBOARDS:
        found = (FOLDER / f"{dashboard.name}.json").read_text(encoding="utf-8")
        assert found == dashboard.json(), "run `python -m tools.dashboards.write`"


@DOCUMENTS
def test_a_dashboard_is_well_formed(document: dict[str, Any]) -> None:
    assert document["schemaVersion"] >= 39
    assert re.fullmatch(r"[a-z-]{1,40}", document["uid"])
    assert document["description"]
    variables = {each["name"]: each for each in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables.keys() == {"datasource", "job", "instance"}
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert "id" not in document, "an imported dashboard gets its number from Grafana"


def test_uids_and_titles_are_told_apart() -> None:
    assert len(SHIPPED) == 6
    for key in ("uid", "title"):
        assert len({document[key] for document in SHIPPED.values()}) == len(SHIPPED)


@DOCUMENTS
def test_panels_do_not_overlap(document: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in document["panels"]]
    assert all(each["x"] >= 0 and each["x"] + each["w"] <= WIDTH for each in places)
    for one, other in itertools.combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in UNITS
    steps = defaults.get("thresholds", {"steps": [{"value": None}]})["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    targets = panel["targets"]
    assert targets
    assert len({target["refId"] for target in targets}) == len(targets)
    assert all(target["datasource"] == panel["datasource"] for target in targets)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_metrics_that_there_are(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert HERE in target["expr"], "the variables choose nothing"
        labels = labels_of(plain(target["expr"]), known_metrics())
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= labels, target["legendFormat"]
        # A series for each process of each machine would hide what is asked for.
        assert labels <= named, f"{sorted(labels - named)} are not told apart"


@DOCUMENTS
def test_variables_and_annotations_ask_for_what_there_is(document: dict[str, Any]) -> None:
    for variable in document["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert found is not None
        assert found[2] in labels_of(plain(found[1]), known_metrics())
    for annotation in document["annotations"]["list"]:
        labels = labels_of(plain(annotation["expr"]), known_metrics())
        assert set(re.findall(r"\{\{(\w+)\}\}", annotation["titleFormat"])) <= labels


def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    """As recording rules, since that is what its checker reads."""
    rules = [
        {"record": f"dashboard:panel{number}", "expr": plain(target["expr"])}
        for number, target in enumerate(
            target
            for document in SHIPPED.values()
            for panel in document["panels"]
            for target in panel.get("targets", ())
        )
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    assert f"{len(rules)} rules found" in run_promtool("check", "rules", file)
