"""Write the audit log, in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from muniment.db import OrgId, UnitOfWork, load_statements, new_id
from muniment.tenancy.audit.actions import MEANINGS, AuditAction

_statements = load_statements("muniment.tenancy.audit")


async def record(
    work: UnitOfWork,
    action: AuditAction,
    *,
    target_type: str,
    target_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Tell in the audit log what the caller of this transaction did.

    The entry is committed with the deed or not at all. Who acted, and from where, is what the
    transaction's scope says.

    Args:
        work: a transaction of the organization that the entry belongs to.
        action: from the closed list in `muniment.tenancy.audit.actions`.
        target_type: kind of thing, in the singular: ``api_key``, ``member``.
        target_id: of the thing.
        before: values that were changed, as they were; never a secret.
        after: the same values as they are now; never a secret.

    Raises:
        LookupError: the transaction belongs to no organization.
        ValueError: the action is not on the list.
    """
    scope = work.scope
    await _insert(
        work,
        scope.org_id,
        action,
        actor=scope.actor,
        address=scope.address,
        target_type=target_type,
        target_id=target_id,
        before=before,
        after=after,
    )


async def record_by_operator(
    work: UnitOfWork,
    operator: str,
    org_id: OrgId,
    action: AuditAction,
    *,
    address: str | None = None,
    target_type: str = "organization",
    target_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Tell in an organization's audit log what the installation's operator did to it.

    Args:
        work: a transaction of the operator (`Database.operator`).
        operator: who acted, as the log names them: ``operator:…``.
        org_id: whose log; also the target unless another one is named.
        action: see `record`, as the arguments that follow.
        address: where the operator connected from.
        target_type: see `record`.
        target_id: see `record`.
        before: see `record`.
        after: see `record`.

    Raises:
        ValueError: the action is not on the list.
    """
    if target_id is None and target_type == "organization":
        target_id = str(org_id)
    await _insert(
        work,
        org_id,
        action,
        actor=operator,
        address=address,
        target_type=target_type,
        target_id=target_id,
        before=before,
        after=after,
    )


async def _insert(work: UnitOfWork, org_id: OrgId, action: AuditAction, **told: Any) -> None:
    if action not in MEANINGS:
        raise ValueError(f"{action} is not an action of the audit log")
    entry_id = new_id()
    await _statements.insert_entry(
        work,
        org_id=org_id,
        entry_id=entry_id,
        at=time_of(entry_id),
        action=action,
        **told,
    )


def time_of(entry_id: UUID) -> datetime:
    """Return the millisecond in which a UUIDv7 was made (RFC 9562, 5.7).

    An entry bears this time, so that a span of time is a span of ids.
    """
    return datetime.fromtimestamp((entry_id.int >> 80) / 1000, UTC)
