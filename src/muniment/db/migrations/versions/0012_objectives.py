"""Objectives and what they are computed from."""

from muniment.db.migrations.run_sql import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply ``sql/0012_objectives.sql``."""
    run_sql("0012_objectives.sql")
