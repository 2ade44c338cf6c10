"""API keys and the audit log."""

from muniment.db.migrations.run_sql import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply ``sql/0007_keys_and_audit.sql``."""
    run_sql("0007_keys_and_audit.sql")
