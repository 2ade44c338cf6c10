"""Have Postgres count what a job has written, before anybody reads it."""

from __future__ import annotations

from muniment.db import UnitOfWork, load_statements

_statements = load_statements("muniment.reconcile")


async def count_written(work: UnitOfWork) -> None:
    """Have records and matches counted (ANALYZE), as workers may.

    In a transaction of its own, after that which wrote them: it waits for others who count, and
    they for it. Autovacuum would come within minutes, and until then a look-up of one match may
    read all matches of the reconciliation.
    """
    await _statements.analyze(work)


async def count_first(work: UnitOfWork) -> None:
    """Have records and matches counted if they never were, in the transaction that fills them.

    What is written next would be planned as if there were a row or two.
    """
    await _statements.analyze_first(work)
