"""Pools, unit of work, tenant scope, named SQL, migrations and the embedded server."""

from muniment.db.database import Database
from muniment.db.pool import Pool
from muniment.db.scope import OrgId, Role, TenantScope, UserId, WorkspaceId, first_id_at, new_id
from muniment.db.statements import (
    StatementObserver,
    Statements,
    load_statements,
    observe_statements,
)
from muniment.db.unit_of_work import UnitOfWork

__all__ = [
    "Database",
    "OrgId",
    "Pool",
    "Role",
    "StatementObserver",
    "Statements",
    "TenantScope",
    "UnitOfWork",
    "UserId",
    "WorkspaceId",
    "first_id_at",
    "load_statements",
    "new_id",
    "observe_statements",
]
