"""What can go wrong with members, workspaces and invitations."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class MemberNotFound(NotFound):
    """Your organization has no such member."""

    code = "member_not_found"
    title = "Member not found"


class LastOwner(MunimentError):
    """An organization keeps at least one owner: make somebody else an owner first."""

    code = "last_owner"
    status = 409
    title = "Last owner"


class RoleNotNarrower(MunimentError):
    """A role in a workspace must be narrower than the member's role in the organization."""

    code = "role_not_narrower"
    status = 409
    title = "Role not narrower"


class WorkspaceExists(MunimentError):
    """Your organization has a workspace of this name already."""

    code = "workspace_exists"
    status = 409
    title = "Workspace exists"


class WorkspaceNotEmpty(MunimentError):
    """The workspace holds documents or unfinished jobs: delete its documents first."""

    code = "workspace_not_empty"
    status = 409
    title = "Workspace not empty"


class LastWorkspace(MunimentError):
    """An organization keeps at least one workspace."""

    code = "last_workspace"
    status = 409
    title = "Last workspace"


class InvitationNotFound(NotFound):
    """Your organization has no such open invitation."""

    code = "invitation_not_found"
    title = "Invitation not found"


class InvitationUnusable(NotFound):
    """This invitation is not known, was used or taken back, or has expired: ask for a new one."""

    code = "invitation_unusable"
    title = "Invitation unusable"


class InvitationForAnother(MunimentError):
    """This invitation is for another e-mail address: sign out, or sign in with that one."""

    code = "invitation_for_another"
    status = 403
    title = "Forbidden"


class AlreadyMember(MunimentError):
    """Somebody of this e-mail address is a member of the organization already."""

    code = "already_member"
    status = 409
    title = "Already a member"


class PasswordNeeded(MunimentError):
    """Choose a password; if you have an account of this e-mail address, give its own."""

    code = "password_needed"
    status = 422
    title = "Password needed"
