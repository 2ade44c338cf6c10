"""Reconciliations, their datasets, records, matches and decisions."""

from muniment.db.migrations.run_sql import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply ``sql/0015_reconciliations.sql``."""
    run_sql("0015_reconciliations.sql")
