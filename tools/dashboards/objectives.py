"""How far what was promised is kept."""

from tools.dashboards.build import Dashboard, Panel, Query, Row

_ATTAINED = "max by (objective) (muniment_objective_attainment_ratio{$here})"
_TARGET = "max by (objective) (muniment_objective_target_ratio{$here})"
_LEFT = "max by (objective) (muniment_objective_error_budget_remaining_ratio{$here})"


def _burn(window: str, limit: float) -> Panel:
    return Panel(
        f"Burn rate over {window}",
        f"How fast the error budget is spent: at 1 it lasts for the window. Above {limit:g} it "
        "alerts if the shorter window agrees.",
        "short",
        [
            Query(
                f'max by (objective) (muniment_objective_burn_rate{{$here,window="{window}"}})',
                "{{objective}}",
            )
        ],
        width=12,
        steps=(("green", 0), ("red", limit)),
    )


DASHBOARD = Dashboard(
    "objectives",
    "Objectives",
    "Attainment, error budgets and burn rates of the objectives in the settings.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Budget left",
                    "Share of the error budget of each objective's window that is left.",
                    "percentunit",
                    [Query(_LEFT, "{{objective}}")],
                    "bargauge",
                    12,
                    8,
                    (("red", 0), ("yellow", 0.1), ("green", 0.5)),
                    most=1,
                ),
                Panel(
                    "Attainment minus target",
                    "Above 0 an objective is kept.",
                    "percentunit",
                    [Query(f"{_ATTAINED} - {_TARGET}", "{{objective}}")],
                    "stat",
                    12,
                    8,
                    (("red", -1), ("green", 0)),
                    least=None,
                ),
            ],
        ),
        Row(
            "Over time",
            [
                Panel(
                    "Attainment",
                    "Share of requests or jobs of the window that kept the objective.",
                    "percentunit",
                    [Query(_ATTAINED, "{{objective}}")],
                    width=12,
                    least=None,
                    most=1,
                ),
                Panel(
                    "Budget left",
                    "Below 0 it is overspent.",
                    "percentunit",
                    [Query(_LEFT, "{{objective}}")],
                    width=12,
                    steps=(("red", 0), ("green", 0)),
                    least=None,
                    most=1,
                ),
                _burn("5m", 14.4),
                _burn("1h", 14.4),
                _burn("6h", 6),
                _burn("3d", 1),
            ],
        ),
        Row(
            "Counting itself",
            [
                Panel(
                    "Age of what is shown",
                    "Seconds since the objectives were last read from the database.",
                    "s",
                    [
                        Query(
                            "time() - max(muniment_objective_read_timestamp_seconds{$here})", "age"
                        )
                    ],
                    width=12,
                    steps=(("green", 0), ("red", 600)),
                ),
                Panel(
                    "Not written yet",
                    "Minutes of counts that wait for the database, and counts that were given up.",
                    "short",
                    [
                        Query("sum(muniment_objective_unwritten_batches{$here})", "waiting"),
                        Query(
                            "sum(increase(muniment_objective_lost_total{$here}[$__rate_interval]))",
                            "lost",
                        ),
                    ],
                    width=12,
                ),
            ],
        ),
    ],
)
