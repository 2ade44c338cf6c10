"""People, members and invitations."""

from muniment.db.migrations.run_sql import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply ``sql/0006_people.sql``."""
    run_sql("0006_people.sql")
