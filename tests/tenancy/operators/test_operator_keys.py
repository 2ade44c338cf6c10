"""Only a valid operator key opens the operator's endpoints, and it opens nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from muniment.db import Database, TenantScope
from muniment.tenancy.operators.authentication import authenticate_operator
from muniment.tenancy.operators.errors import (
    InvalidOperatorKey,
    MissingOperatorKey,
    OperatorKeyNotFound,
)
from muniment.tenancy.operators.keys import (
    create_operator_key,
    list_operator_keys,
    revoke_operator_key,
)
from tests.tenancy.operators.conftest import Member

PATHS = [
    ("GET", "/v1/admin/organizations"),
    ("POST", "/v1/admin/organizations"),
    ("GET", "/v1/admin/organizations/01890000-0000-7000-8000-000000000000"),
    ("PATCH", "/v1/admin/organizations/01890000-0000-7000-8000-000000000000"),
    ("POST", "/v1/admin/organizations/01890000-0000-7000-8000-000000000000/suspend"),
    ("POST", "/v1/admin/organizations/01890000-0000-7000-8000-000000000000/resume"),
]


async def test_a_key_tells_who_acts(database: Database, operator_key: str) -> None:
    actor = await authenticate_operator(database, f"Bearer {operator_key}")
    async with database.operator() as work:
        (key,) = await list_operator_keys(work)
    assert actor == f"operator:{key.operator_key_id}"
    assert operator_key.startswith(key.prefix)
    assert key.prefix.startswith("muo_")


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer  ", "Basic muo_abc"])
async def test_without_a_key(database: Database, sent: str | None) -> None:
    with pytest.raises(MissingOperatorKey):
        await authenticate_operator(database, sent)


@pytest.mark.parametrize(
    "key", ["muo_unknown", "mun_" + "x" * 43, "muo_" + "x" * 300, "muo_\udcff"]
)
async def test_with_a_wrong_key(database: Database, key: str) -> None:
    with pytest.raises(InvalidOperatorKey):
        await authenticate_operator(database, f"Bearer {key}")


async def test_what_cannot_be_a_key_takes_no_connection(database: Database) -> None:
    for key in ("mun_" + "x" * 43, "muo_" + "x" * 300):
        with pytest.raises(InvalidOperatorKey):
            await authenticate_operator(database, f"Bearer {key}")
    assert database.operator_pool.get_size() == 0


async def test_an_expired_key(database: Database) -> None:
    async with database.operator() as work:
        key = await create_operator_key(work, "old", expires_at=datetime.now(UTC))
        later = await create_operator_key(
            work, "new", expires_at=datetime.now(UTC) + timedelta(days=1)
        )
    with pytest.raises(InvalidOperatorKey):
        await authenticate_operator(database, f"Bearer {key}")
    assert await authenticate_operator(database, f"bearer {later}")


@pytest.mark.parametrize("by", ["id", "prefix"])
async def test_a_revoked_key_is_of_no_use_at_once(
    database: Database, operator_key: str, by: str
) -> None:
    async with database.operator() as work:
        (key,) = await list_operator_keys(work)
        revoked = await revoke_operator_key(
            work, str(key.operator_key_id) if by == "id" else key.prefix
        )
        assert revoked.revoked_at is not None
        with pytest.raises(OperatorKeyNotFound):
            await revoke_operator_key(work, key.prefix)
    with pytest.raises(InvalidOperatorKey):
        await authenticate_operator(database, f"Bearer {operator_key}")


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_the_key_of_an_organization_opens_nothing_here(
    operator: httpx.AsyncClient, member: Member, method: str, path: str
) -> None:
    answer = await operator.request(
        method, path, json={}, headers={"Authorization": f"Bearer {member.key}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_operator_key")
    del operator.headers["authorization"]
    answer = await operator.request(method, path, json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_operator_key")


async def test_the_operator_is_no_member(operator: httpx.AsyncClient) -> None:
    for path in ("/v1/me", "/v1/documents", "/v1/usage"):
        assert (await operator.get(path)).status_code == 401


async def test_no_other_role_reads_operator_keys(
    database: Database, scope: TenantScope, operator_key: str
) -> None:
    async with database.unit_of_work(scope) as work:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await work.connection.fetch("SELECT name FROM operator_keys")
