"""Sources, documents and their passages."""

from muniment.db.migrations.run_sql import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply ``sql/0003_documents.sql``."""
    run_sql("0003_documents.sql")
