"""Jobs and their queue."""

from muniment.db.migrations.run_sql import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply ``sql/0002_jobs.sql``."""
    run_sql("0002_jobs.sql")
