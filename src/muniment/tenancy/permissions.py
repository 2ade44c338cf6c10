"""Who may do what: the one table of roles and actions that endpoints refer to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from muniment.db import Role, TenantScope, WorkspaceId
from muniment.tenancy.errors import NotAllowed


class Action(StrEnum):
    """What an endpoint does, as far as permission goes."""

    ORGANIZATION_READ = "organization.read"
    ORGANIZATION_CHANGE = "organization.change"
    MEMBERS_READ = "members.read"
    MEMBERS_MANAGE = "members.manage"
    WORKSPACES_READ = "workspaces.read"
    WORKSPACES_MANAGE = "workspaces.manage"
    KEYS_MANAGE = "keys.manage"
    USAGE_READ = "usage.read"
    AUDIT_READ = "audit.read"
    DOCUMENTS_READ = "documents.read"
    DOCUMENTS_WRITE = "documents.write"
    SEARCH = "search"
    JOBS_READ = "jobs.read"
    JOBS_MANAGE = "jobs.manage"
    SCHEDULES_MANAGE = "schedules.manage"
    RECONCILIATIONS_READ = "reconciliations.read"
    RECONCILIATIONS_WRITE = "reconciliations.write"
    RECONCILIATIONS_QUERY = "reconciliations.query"
    DECISIONS_WRITE = "decisions.write"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an action asks of its caller."""

    role: Role
    """The least role that may do it."""
    organization_wide: bool = False
    """It reaches beyond one workspace: closed to whoever is limited to one."""


RULES: dict[Action, Rule] = {
    Action.ORGANIZATION_READ: Rule(Role.VIEWER),
    Action.ORGANIZATION_CHANGE: Rule(Role.OWNER, organization_wide=True),
    Action.MEMBERS_READ: Rule(Role.VIEWER),
    Action.MEMBERS_MANAGE: Rule(Role.ADMIN, organization_wide=True),
    Action.WORKSPACES_READ: Rule(Role.VIEWER),
    Action.WORKSPACES_MANAGE: Rule(Role.ADMIN, organization_wide=True),
    Action.KEYS_MANAGE: Rule(Role.ADMIN, organization_wide=True),
    Action.USAGE_READ: Rule(Role.VIEWER),
    Action.AUDIT_READ: Rule(Role.ADMIN, organization_wide=True),
    Action.DOCUMENTS_READ: Rule(Role.VIEWER),
    Action.DOCUMENTS_WRITE: Rule(Role.EDITOR),
    Action.SEARCH: Rule(Role.VIEWER),
    Action.JOBS_READ: Rule(Role.VIEWER),
    Action.JOBS_MANAGE: Rule(Role.EDITOR),
    Action.SCHEDULES_MANAGE: Rule(Role.ADMIN, organization_wide=True),
    Action.RECONCILIATIONS_READ: Rule(Role.VIEWER),
    Action.RECONCILIATIONS_WRITE: Rule(Role.EDITOR),
    # A query reads what the operator's connection may read, whoever asks.
    Action.RECONCILIATIONS_QUERY: Rule(Role.ADMIN),
    Action.DECISIONS_WRITE: Rule(Role.EDITOR),
}


def require(tenant: TenantScope, action: Action) -> None:
    """Let the caller pass if the table allows it the action.

    Raises:
        NotAllowed: it does not; the detail says what is missing.
    """
    rule = RULES[action]
    if not tenant.role.covers(rule.role):
        raise NotAllowed(f"This needs the role {rule.role}; yours is {tenant.role}.")
    if rule.organization_wide and tenant.workspace_id is not None:
        raise NotAllowed("This concerns the whole organization; your key is for one workspace.")


def require_in_workspace(tenant: TenantScope, action: Action, workspace_id: WorkspaceId) -> None:
    """Let the caller pass if it may do the action to things of a workspace.

    Raises:
        NotAllowed: its role in that workspace is too narrow.
    """
    needed, role = RULES[action].role, tenant.role_in(workspace_id)
    if not role.covers(needed):
        raise NotAllowed(f"This needs the role {needed}; yours in this workspace is {role}.")


def require_within_own(tenant: TenantScope, role: Role) -> None:
    """Let the caller pass if `role` is not above their own.

    Raises:
        NotAllowed: it is.
    """
    if not tenant.role.covers(role):
        raise NotAllowed(f"The role {role} is above yours, which is {tenant.role}.")


def allowed_actions(tenant: TenantScope) -> list[Action]:
    """Return what the caller may do in its organization."""
    return [
        action
        for action, rule in RULES.items()
        if tenant.role.covers(rule.role)
        and not (rule.organization_wide and tenant.workspace_id is not None)
    ]
