"""Search legs."""

from muniment.db.migrations.run_sql import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply ``sql/0005_search_legs.sql``."""
    run_sql("0005_search_legs.sql")
