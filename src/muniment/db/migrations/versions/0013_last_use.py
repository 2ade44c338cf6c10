"""Keys and sessions by their last use."""

from muniment.db.migrations.run_sql import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply ``sql/0013_last_use.sql``."""
    run_sql("0013_last_use.sql")
