"""A real mail server on loopback, which keeps what it is handed."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

USER, PASSWORD = "muniment", "s3cret/with@signs"


@dataclass
class Mails:
    """A running server."""

    host: str = "127.0.0.1"
    port: int = 0
    kept: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    answer: str = "250 kept"
    users: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            message = email.message_from_bytes(
                content.replace(b"\r\n", b"\n"), policy=email.policy.default
            )
            assert isinstance(message, EmailMessage)
            self.kept.append(message)
            self.envelopes.append(envelope)
        return self.answer

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.users.append(given.login)
        right = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        # Not handled: the server is to answer what the standard says.
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, start_tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Mails]:
    """Run a server in a thread of its own, on a port that is free."""
    mails = Mails()
    controller = Controller(
        mails,
        hostname=mails.host,
        port=_free_port(),
        ssl_context=tls,
        tls_context=start_tls,
        authenticator=mails.authenticate,
        enable_SMTPUTF8=True,
        **options,
    )
    controller.start()
    mails.port = controller.port
    try:
        yield mails
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[int]:
    """Run a server that takes connections and never says a word; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port
