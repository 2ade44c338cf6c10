"""Who operates the installation: known by keys that no other role of the database can read."""

from __future__ import annotations

from muniment.db import Database, load_statements
from muniment.tenancy.operators.errors import InvalidOperatorKey, MissingOperatorKey
from muniment.tenancy.operators.keys import PREFIX
from muniment.tenancy.secrets import hash_of

statements = load_statements("muniment.tenancy.operators")

_LONGEST = 200


async def authenticate_operator(database: Database, authorization: str | None) -> str:
    """Return who asks, as the audit log names them: ``operator:`` and the id of the key.

    It is not cached: operators are few, and a revoked key must be of no use at once.

    Raises:
        MissingOperatorKey: no bearer key was sent.
        InvalidOperatorKey: the key is unknown, revoked or expired.
        PoolExhausted, DatabaseUnavailable: see `Database.unit_of_work`.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise MissingOperatorKey
    # Anything else must not take one of the operator's few connections.
    if not key.startswith(PREFIX) or len(key) > _LONGEST:
        raise InvalidOperatorKey
    async with database.operator() as work:
        key_id = await statements.operator_key_by_hash(work, hash=hash_of(key))
    if key_id is None:
        raise InvalidOperatorKey
    return f"operator:{key_id}"
