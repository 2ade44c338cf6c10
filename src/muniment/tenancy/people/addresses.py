"""E-mail addresses in the one spelling that is kept."""

from __future__ import annotations

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from muniment.tenancy.people.errors import InvalidEmail

# Many an organization's own network is called something.local, although RFC 6762 keeps the name for
# other uses. The library has no argument for this; changing its list is what it recommends.
SPECIAL_USE_DOMAIN_NAMES.remove("local")


def normalise_email(text: str, *, pointer: str = "#/email") -> str:
    """Return an address in lower case, Unicode NFC, its domain in the international form.

    Nothing is looked up in DNS, and domains that exist inside of an organization only are fine.

    Args:
        text: as a person typed it.
        pointer: to the value in the body, for the error.

    Raises:
        InvalidEmail: it is no address.
    """
    try:
        checked = validate_email(
            text.strip(), check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise InvalidEmail(errors=[{"pointer": pointer, "detail": str(error)}]) from error
    return checked.normalized.lower()
