"""Panels and dashboards as Grafana reads them, from the little that differs between them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 39
"""Of Grafana 11; later ones migrate it when they load a dashboard."""
WIDTH = 24
"""Columns of Grafana's grid."""
HERE = 'job=~"$job",instance=~"$instance"'
"""Matchers for what the variables choose; `$here` stands for them in expressions."""

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]
Steps = Sequence[tuple[str, float]]
"""Colours and the value from which each holds; the first colour holds below."""


@dataclass(frozen=True)
class Query:
    """One PromQL expression and how its series are named."""

    expr: str
    legend: str = ""
    table: bool = False
    """Show the value of now, as rows."""


@dataclass(frozen=True)
class Panel:
    """One panel; sizes are in units of the grid."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Steps = ()
    stacked: bool = False
    least: float | None = 0
    most: float | None = None
    extra: Json = field(default_factory=dict)
    """Laid over what Grafana gets."""


@dataclass(frozen=True)
class Row:
    """A heading and the panels below it."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """A dashboard; its name is that of its file."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]

    def json(self) -> str:
        """Return what is imported into Grafana."""
        return json.dumps(self._document(), indent=2, ensure_ascii=False) + "\n"

    def _document(self) -> Json:
        return {
            "uid": f"muniment-{self.name}",
            "title": f"Muniment / {self.title}",
            "description": self.description,
            "tags": ["muniment"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "browser",
            "timepicker": {},
            "fiscalYearStartMonth": 0,
            "weekStart": "",
            "links": [_link()],
            "annotations": {"list": [_restarts()]},
            "templating": {"list": list(_variables())},
            "panels": list(_placed(self.rows)),
        }


def _placed(rows: Sequence[Row]) -> Iterable[Json]:
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        top += 1
        left, tallest = 0, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                top, left, tallest = top + tallest, 0, 0
            number += 1
            grid = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, grid)
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, number: int, grid: Json) -> Json:
    custom: Json = {}
    options: Json = {}
    if panel.kind == "timeseries":
        custom = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if panel.steps else "off"},
        }
        options = {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["mean", "lastNotNull"],
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif panel.kind in {"stat", "gauge", "bargauge"}:
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "auto",
        }
    elif panel.kind == "table":
        options = {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": True}]}
    defaults: Json = {
        "unit": panel.unit,
        "custom": custom,
        "thresholds": {"mode": "absolute", "steps": _steps(panel.steps)},
        "mappings": [],
    }
    defaults |= {
        name: value
        for name, value in (("min", panel.least), ("max", panel.most))
        if value is not None
    }
    if panel.kind != "timeseries":
        defaults["color"] = {"mode": "thresholds"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": grid,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            _target(query, chr(ord("A") + place)) for place, query in enumerate(panel.queries)
        ],
        **panel.extra,
    }


def _target(query: Query, name: str) -> Json:
    target: Json = {
        "refId": name,
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": query.expr.replace("$here", HERE),
        "legendFormat": query.legend or "__auto",
        "range": not query.table,
        "instant": query.table,
    }
    if query.table:
        target["format"] = "table"
    return target


def _steps(steps: Steps) -> list[Json]:
    if not steps:
        return [{"color": "green", "value": None}]
    return [
        {"color": color, "value": None if place == 0 else value}
        for place, (color, value) in enumerate(steps)
    ]


def _variables() -> Iterable[Json]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }
    for name, label, query in (
        ("job", "Scrape job", "label_values(muniment_build_info, job)"),
        ("instance", "Address", 'label_values(muniment_build_info{job=~"$job"}, instance)'),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": f"{name}-values"},
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "allValue": ".*",
            "includeAll": True,
            "multi": True,
            "hide": 0,
            "options": [],
            "refresh": 2,
            "regex": "",
            "skipUrlSync": False,
            "sort": 1,
        }


def _restarts() -> Json:
    return {
        "name": "Starts of processes",
        "datasource": _SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"process_start_time_seconds{{{HERE}}} * 1000",
        "titleFormat": "{{process}} {{slot}} started",
        "useValueForTime": True,
        "step": "60s",
    }


def _link() -> Json:
    return {
        "title": "Muniment",
        "type": "dashboards",
        "tags": ["muniment"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def percentiles(metric: str, by: str = "", more: str = "") -> list[Query]:
    """Return queries for p50, p95 and p99 of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        Query(
            f"histogram_quantile({share}, sum by ({labels}) "
            f"(rate({metric}_bucket{{$here{more}}}[$__rate_interval])))",
            f"p{share * 100:g}{legend}",
        )
        for share in (0.5, 0.95, 0.99)
    ]


def slowest(metric: str, by: str, share: float = 0.95, most: int = 10) -> Query:
    """Return a query for the series of a histogram with the highest percentile."""
    return Query(
        f"topk({most}, histogram_quantile({share}, sum by (le, {by}) "
        f"(rate({metric}_bucket{{$here}}[$__rate_interval]))))",
        f"{{{{{by}}}}}",
    )


def rate(metric: str, by: str, more: str = "") -> Query:
    """Return a query for how many a second, by a label."""
    names = " ".join(f"{{{{{name.strip()}}}}}" for name in by.split(","))
    return Query(f"sum by ({by}) (rate({metric}{{$here{more}}}[$__rate_interval]))", names)
