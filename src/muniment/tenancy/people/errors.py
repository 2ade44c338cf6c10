"""Why somebody cannot sign up, sign in, or change their account."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ServiceUnavailable, ValidationFailed


class SignUpClosed(MunimentError):
    """Nobody can sign up here without an invitation; ask an administrator for one."""

    code = "sign_up_closed"
    status = 403
    title = "Sign-up closed"


class EmailTaken(MunimentError):
    """Somebody has signed up with this e-mail address before; sign in or reset the password."""

    code = "email_taken"
    status = 409
    title = "E-mail address taken"


class WrongCredentials(MunimentError):
    """No account has this e-mail address and this password."""

    code = "wrong_credentials"
    status = 401
    title = "Unauthorized"


class WrongPassword(MunimentError):
    """The current password is not right; whoever has none yet can have a link sent instead."""

    code = "wrong_password"
    status = 403
    title = "Wrong password"


class TooManyAttempts(MunimentError):
    """There were too many attempts; wait a while before the next."""

    code = "too_many_attempts"
    status = 429
    title = "Too many attempts"


class SignInBusy(ServiceUnavailable):
    """Too many people sign in at this moment; try again shortly."""

    code = "sign_in_busy"


class InvalidEmail(ValidationFailed):
    """This is not an e-mail address."""

    code = "invalid_email"


class UnfitPassword(ValidationFailed):
    """This password cannot be used."""

    code = "unfit_password"


class InvalidResetToken(ValidationFailed):
    """This link has been used, has expired, or never was one; ask for another."""

    code = "invalid_reset_token"
    title = "Link not valid"


class UserNotFound(NotFound):
    """Nobody has signed up with this e-mail address."""

    code = "user_not_found"


class SessionNotFound(NotFound):
    """You have no such session."""

    code = "session_not_found"


class WrongCsrfToken(MunimentError):
    """Send the session's csrf_token in the header `X-CSRF-Token`."""

    code = "wrong_csrf_token"
    status = 403
    title = "Forbidden"


class CrossSiteRequest(MunimentError):
    """Another website made your browser send this request."""

    code = "cross_site_request"
    status = 403
    title = "Forbidden"
