"""Tiers, usage and operators."""

from muniment.db.migrations.run_sql import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply ``sql/0008_usage.sql``."""
    run_sql("0008_usage.sql")
