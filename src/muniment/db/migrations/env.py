"""Alembic's entry: run the revisions as muniment_owner, one at a time across processes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, pool

from muniment.db.installation import UPGRADE_LOCK


def _run(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def _run_online() -> None:
    engine = create_engine(
        context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({UPGRADE_LOCK})")
        connection.exec_driver_sql("SET ROLE muniment_owner")
        # A migration that waits behind a long query would block everyone behind it.
        connection.exec_driver_sql("SET lock_timeout = '5s'")
        connection.commit()
        _run(connection)
        connection.commit()


def _run_offline() -> None:
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.execute("SET ROLE muniment_owner")
        context.run_migrations()


if context.is_offline_mode():
    _run_offline()
else:
    _run_online()
