"""The table of the doctor's checks in docs/doctor.md."""

from muniment.checks import CHECKS
from tools.reference.markdown import table


def render() -> str:
    """Return a table with a row for each check, by id."""
    rows = (
        (f"`{check.id}`", check.title, check.severity.value)
        for check in sorted(CHECKS, key=lambda check: check.id)
    )
    return table(("Check", "What should hold", "Worst finding"), rows)
