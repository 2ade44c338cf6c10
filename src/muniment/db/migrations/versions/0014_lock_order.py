"""One order of locks for whoever ends or cancels jobs."""

from muniment.db.migrations.run_sql import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply ``sql/0014_lock_order.sql``."""
    run_sql("0014_lock_order.sql")
