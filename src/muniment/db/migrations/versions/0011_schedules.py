"""Recurring jobs."""

from muniment.db.migrations.run_sql import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply ``sql/0011_schedules.sql``."""
    run_sql("0011_schedules.sql")
