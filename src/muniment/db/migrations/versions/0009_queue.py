"""A fair queue of our own."""

from muniment.db.migrations.run_sql import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply ``sql/0009_queue.sql`` and the functions of workers beside it."""
    run_sql("0009_queue.sql")
    run_sql("0009_queue_claims.sql")
    run_sql("0009_queue_ends.sql")
