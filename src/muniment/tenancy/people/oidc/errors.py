"""Why somebody cannot sign in through the identity provider."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound, ServiceUnavailable


class NoSingleSignOn(NotFound):
    """This installation has no single sign-on; sign in with a password."""

    code = "no_single_sign_on"


class ProviderUnavailable(ServiceUnavailable):
    """The identity provider does not answer as it should; try again shortly."""

    code = "identity_provider_unavailable"


class SignInRefused(MunimentError):
    """The identity provider did not let you in."""

    code = "sign_in_refused"
    status = 403
    title = "Forbidden"


class InvalidSignIn(MunimentError):
    """This sign-in was not begun here a moment ago, or was tampered with: begin again."""

    code = "invalid_sign_in"
    status = 400
    title = "Invalid sign-in"


class EmailNotVerified(MunimentError):
    """The identity provider does not say that your e-mail address is verified."""

    code = "email_not_verified"
    status = 403
    title = "Forbidden"


class NoAccount(MunimentError):
    """You have no account here, and need an invitation to get one."""

    code = "no_account"
    status = 403
    title = "Forbidden"
