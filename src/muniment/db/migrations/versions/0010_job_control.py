"""Control, statistics and retention of jobs."""

from muniment.db.migrations.run_sql import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply ``sql/0010_job_control.sql``."""
    run_sql("0010_job_control.sql")
