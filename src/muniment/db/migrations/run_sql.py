"""Run the hand-written SQL of a revision."""

from __future__ import annotations

from importlib.resources import files

from alembic import context, op
from sqlalchemy import text


def run_sql(file_name: str) -> None:
    """Run a file of ``migrations/sql`` as it stands, or print it in offline mode."""
    sql = files("muniment.db.migrations").joinpath("sql", file_name).read_text(encoding="utf-8")
    if context.is_offline_mode():
        op.execute(text(sql.replace(":", r"\:")))
        return
    # Without parameters the driver sends the text unchanged, many statements at once.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(sql)
