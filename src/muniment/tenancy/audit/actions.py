"""The closed list of what the audit log can tell of."""

from __future__ import annotations

from typing import Literal

AuditAction = Literal[
    "organization.created",
    "organization.changed",
    "organization.suspended",
    "organization.resumed",
    "organization.tier_changed",
    "workspace.created",
    "workspace.changed",
    "workspace.deleted",
    "workspace_role.set",
    "workspace_role.removed",
    "member.joined",
    "member.role_changed",
    "member.removed",
    "invitation.created",
    "invitation.revoked",
    "invitation.accepted",
    "api_key.created",
    "api_key.changed",
    "api_key.rotated",
    "api_key.revoked",
    "session.started",
    "session.refused",
    "session.ended",
    "password.changed",
    "document.deleted",
    "job.cancelled",
    "job.retried",
    "schedule.changed",
    "schedule.removed",
    "usage.recounted",
    "audit_log.exported",
]
"""Name of what was done: the kind of thing, a dot, and what happened to it.

A name stays for ever, since the entries that bear it do: new ones are added, none is renamed.
"""

MEANINGS: dict[AuditAction, str] = {
    "organization.created": "The organization came to be.",
    "organization.changed": "Its name or settings were changed.",
    "organization.suspended": "The operator suspended it.",
    "organization.resumed": "The operator let it work again.",
    "organization.tier_changed": "The operator put it into another tier.",
    "workspace.created": "A workspace was made.",
    "workspace.changed": "A workspace was changed.",
    "workspace.deleted": "A workspace was deleted with what it held.",
    "workspace_role.set": "A member was given a narrower role in a workspace.",
    "workspace_role.removed": "A member has their organization's role in a workspace again.",
    "member.joined": "Somebody became a member.",
    "member.role_changed": "A member was given another role.",
    "member.removed": "A member was removed, or left.",
    "invitation.created": "Somebody was invited.",
    "invitation.revoked": "An invitation was taken back.",
    "invitation.accepted": "An invitation was accepted.",
    "api_key.created": "An API key was made.",
    "api_key.changed": "An API key's name or rate limit was changed.",
    "api_key.rotated": "An API key was replaced by a new one of the same rights.",
    "api_key.revoked": "An API key was revoked.",
    "session.started": "A member signed in to the organization.",
    "session.refused": "Somebody failed to sign in as a member.",
    "session.ended": "A member signed out.",
    "password.changed": "A member changed their password.",
    "document.deleted": "A document was deleted.",
    "job.cancelled": "A job was cancelled, with the descendants that were unfinished.",
    "job.retried": "A job that had failed or was cancelled was queued again.",
    "schedule.changed": "It was set when jobs recur, or whether they do.",
    "schedule.removed": "Jobs do not recur any more.",
    "usage.recounted": "The counts of documents and bytes were made anew.",
    "audit_log.exported": "The audit log was exported.",
}
"""What each name says, for the description of the interface."""
