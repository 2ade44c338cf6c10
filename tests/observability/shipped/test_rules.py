"""The rules that are shipped: about what there is, and firing when they should and only then."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from muniment.observability.shipping import shipped_files
from tests.observability.shipped.alert_cases import CASES, Case, Series
from tests.observability.shipped.known_metrics import Known, known_metrics, labels_of
from tests.promtool import run_promtool
from tools.gates.report import PROJECT

FOLDER = PROJECT / "src" / "muniment" / "observability" / "shipped" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for name, text in shipped_files()
    if name.startswith("prometheus/")
    for group in yaml.safe_load(text)["groups"]
    for rule in group["rules"]
]
RECORDED = [rule for rule in RULES if "record" in rule]
ALERTS = [rule for rule in RULES if "alert" in rule]


def known() -> Known:
    """Return metrics with their labels, and those that the rules record."""
    metrics = dict(known_metrics())
    for rule in RECORDED:
        metrics[rule["record"]] = labels_of(rule["expr"], metrics)
    return metrics


def test_recorded_names_tell_their_labels() -> None:
    assert RECORDED
    for rule in RECORDED:
        level, metric, _operation = rule["record"].split(":")
        labels = known()[rule["record"]]
        assert (level in labels) or (level == "muniment" and not labels), rule["record"]
        assert metric


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_what_there_is(rule: dict[str, Any]) -> None:
    labels = labels_of(rule["expr"], known())
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    told = rule["annotations"]
    assert told.keys() == {"summary", "description", "runbook"}
    named = set(re.findall(r"\$labels\.(\w+)", told["summary"] + told["description"]))
    assert named <= labels, named - labels


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_what_can_be_done(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (PROJECT / page).read_text(encoding="utf-8")
    headings = {found.lower() for found in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    assert anchor == rule["alert"].lower()
    assert anchor in headings


def test_every_alert_is_tried_and_no_other() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    assert sorted(CASES) == sorted(names)


@pytest.mark.parametrize("name", CASES)
def test_cases_are_about_what_there_is(name: str) -> None:
    for series in (*CASES[name].fires, *CASES[name].quiet):
        labels_of(series, known())


def test_prometheus_reads_the_rules() -> None:
    for file in sorted(FOLDER.iterdir()):
        assert "SUCCESS" in run_promtool("check", "rules", file)


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests = [
        _test(name, case.minute, series, fires=fires)
        for name, case in CASES.items()
        for series, fires in ((case.fires, True), (case.quiet, False))
    ]
    file = tmp_path / "tests.json"
    files = [str(path) for path in sorted(FOLDER.iterdir())]
    file.write_text(json.dumps({"rule_files": files, "evaluation_interval": "30s", "tests": tests}))
    assert "SUCCESS" in run_promtool("test", "rules", file)


def test_the_trial_of_alerts_notices_one_that_is_quiet(tmp_path: Path) -> None:
    case: Case = CASES["MunimentQueueOld"]
    wrong = _test("MunimentQueueOld", case.minute, case.quiet, fires=True)
    file = tmp_path / "tests.json"
    files = [str(path) for path in sorted(FOLDER.iterdir())]
    file.write_text(
        json.dumps({"rule_files": files, "evaluation_interval": "30s", "tests": [wrong]})
    )
    with pytest.raises(AssertionError, match="FAILED"):
        run_promtool("test", "rules", file)


def _test(name: str, minute: int, series: Series, *, fires: bool) -> dict[str, Any]:
    firing = f'count(count by (alertname) (ALERTS{{alertname="{name}",alertstate="firing"}}))'
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {"expr": firing, "eval_time": f"{minute}m", "exp_samples": expected},
        ],
    }
