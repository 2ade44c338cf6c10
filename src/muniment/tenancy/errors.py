"""Why somebody is not let in."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class MissingCredentials(MunimentError):
    """Send an API key, `Authorization: Bearer mun_…`, or sign in."""

    code = "missing_credentials"
    status = 401
    title = "Unauthorized"


class InvalidCredentials(MunimentError):
    """This API key is not known, was revoked, or has expired."""

    code = "invalid_credentials"
    status = 401
    title = "Unauthorized"


class SessionEnded(MunimentError):
    """Your session has ended; sign in again."""

    code = "session_ended"
    status = 401
    title = "Unauthorized"


class NoOrganization(MunimentError):
    """You are no member of the organization that your session is in; choose another one."""

    code = "no_organization"
    status = 403
    title = "Forbidden"


class OrganizationSuspended(MunimentError):
    """The operator of this installation has suspended your organization."""

    code = "organization_suspended"
    status = 403
    title = "Forbidden"


class NotAllowed(MunimentError):
    """Your role does not allow this."""

    code = "not_allowed"
    status = 403
    title = "Forbidden"


class WorkspaceNotFound(NotFound):
    """There is no such workspace in your organization."""

    code = "workspace_not_found"


class OrganizationNotFound(NotFound):
    """There is no such organization in this installation."""

    code = "organization_not_found"
