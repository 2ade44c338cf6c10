"""Search index."""

from muniment.db.migrations.run_sql import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply ``sql/0004_search.sql``."""
    run_sql("0004_search.sql")
