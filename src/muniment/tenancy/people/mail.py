"""Mail, for those installations that have a server for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import structlog
from aiosmtplib import SMTPException, SMTPResponseException, send

from muniment.outside_services import outside_service
from muniment.settings import InvalidSetting, Settings

TIMEOUT_SECONDS = 20.0
"""For one mail, from connecting to the server's word that it has it."""

_AT_A_TIME = 4
_STARTTLS = {None: None, "true": True, "false": False}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Server:
    """A mail server and how to talk to it."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    """TLS from the first byte on (smtps)."""
    start_tls: bool | None
    """Whether the connection is encrypted before anything is told; None where it is offered."""


class Mailer:
    """Hands mails to the server of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Read the address of the server; nothing is connected yet.

        Raises:
            InvalidSetting: the address cannot be used, or there is no sender.
        """
        self._server = None if settings.smtp_url is None else _server_of(settings.smtp_url)
        self._sender = settings.mail_from or ""
        self._sending = asyncio.Semaphore(_AT_A_TIME)
        if self._server is not None and "@" not in parseaddr(self._sender)[1]:
            raise InvalidSetting(
                "MUNIMENT_MAIL_FROM: mails need a sender, as in Muniment <muniment@example.com>."
            )

    @property
    def enabled(self) -> bool:
        """Whether there is a server to hand mails to."""
        return self._server is not None

    async def send(self, recipient: str, subject: str, text: str) -> bool:
        """Hand over one mail of plain text, and tell whether the server has taken it.

        A failure is logged, without the text, which may hold a secret, and without what the
        server answered, which may repeat it.

        Args:
            recipient: one address, normalised.
            subject: one line.
            text: with lines of any length.
        """
        if self._server is None:
            return False
        try:
            async with self._sending:
                with outside_service("smtp"):
                    async with asyncio.timeout(TIMEOUT_SECONDS):
                        await self._hand_over(self._server, recipient, subject, text)
        except (SMTPException, OSError, TimeoutError, MessageError, ValueError) as error:
            code = error.code if isinstance(error, SMTPResponseException) else None
            _log.warning("mail_not_sent", reason=type(error).__name__, smtp_code=code)
            return False
        return True

    async def _hand_over(self, server: _Server, recipient: str, subject: str, text: str) -> None:
        await send(
            self._message(recipient, subject, text),
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            start_tls=server.start_tls,
            timeout=TIMEOUT_SECONDS,
        )

    def _message(self, recipient: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = recipient
        message["Subject"] = subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = make_msgid(domain=parseaddr(self._sender)[1].partition("@")[2])
        # RFC 3834: no auto-responder answers this.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message


def _server_of(url: str) -> _Server:
    parts = urlsplit(url)
    start_tls = parse_qs(parts.query).get("starttls", [None])[-1]
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or start_tls not in _STARTTLS:
        raise InvalidSetting(
            "MUNIMENT_SMTP_URL: the address of a mail server reads "
            "smtp://user:password@host:587 or smtps://user:password@host, "
            "and may end in ?starttls=true or ?starttls=false."
        )
    tls = parts.scheme == "smtps"
    return _Server(
        parts.hostname,
        _port_of(parts, 465 if tls else 587),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        tls,
        # A password is not told to whoever sits between and says that there is no TLS.
        _STARTTLS[start_tls] if start_tls or tls or not parts.username else True,
    )


def _port_of(parts: SplitResult, usual: int) -> int:
    try:
        return parts.port or usual
    except ValueError as error:
        raise InvalidSetting(f"MUNIMENT_SMTP_URL: {error}.") from error
