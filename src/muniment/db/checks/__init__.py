"""What the doctor looks at in the database: schema, indexes, plans, rows' security, server."""

from __future__ import annotations

from muniment.db.checks.indexes import checks as index_checks
from muniment.db.checks.row_security import checks as security_checks
from muniment.db.checks.schema import checks as schema_checks
from muniment.db.checks.server import checks as server_checks
from muniment.db.checks.statements import checks as statement_checks
from muniment.db.checks.tables import checks as table_checks
from muniment.db.doctor import DoctorCheck

checks: list[DoctorCheck] = [
    *server_checks,
    *schema_checks,
    *security_checks,
    *index_checks,
    *statement_checks,
    *table_checks,
]
