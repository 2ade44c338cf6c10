"""Tenant isolation, organizations, workspaces and API keys."""

from muniment.db.migrations.run_sql import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply ``sql/0001_foundation.sql``."""
    run_sql("0001_foundation.sql")
