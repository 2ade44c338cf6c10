from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from muniment.settings import InvalidSetting, Settings
from muniment.tenancy.people import mail
from muniment.tenancy.people.mail import Mailer
from tests.tenancy.people.mail_server import PASSWORD, USER, mail_server, silent_server

WITHOUT_TLS = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
CREDENTIALS = f"{USER}:s3cret%2Fwith%40signs"


def mailer(url: str | None, sender: str | None = "Muniment <m@example.com>") -> Mailer:
    return Mailer(
        Settings(_env_file=None, data_dir=Path("unused"), smtp_url=url, mail_from=sender)  # type: ignore[call-arg]
    )


async def test_hands_over_a_mail_of_plain_text() -> None:
    with mail_server() as server:
        text = f"A line of {'many ' * 300}words.\nÜmläut\nhttps://example.com/#token=a_b-c\n"
        assert await mailer(f"smtp://{server.host}:{server.port}").send(
            "ada@example.com", "Grüße", text
        )
        (message,), (envelope,) = server.kept, server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("m@example.com", ["ada@example.com"])
    assert message["From"] == "Muniment <m@example.com>"
    assert message["Subject"] == "Grüße"
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Date"] is not None
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content() == text


async def test_addresses_may_be_in_any_script() -> None:
    with mail_server() as server:
        assert await mailer(f"smtp://{server.host}:{server.port}").send(
            "äda@bücher.example", "Hello", "Text.\n"
        )
        assert server.envelopes[0].rcpt_tos == ["äda@bücher.example"]


@WITHOUT_TLS
async def test_signs_in_where_it_is_asked_to() -> None:
    with mail_server(auth_required=True, auth_require_tls=False) as server:
        address = f"{server.host}:{server.port}"
        ours = mailer(f"smtp://{CREDENTIALS}@{address}?starttls=false")
        assert await ours.send("ada@example.com", "Hello", "Text.\n")
        assert not await mailer(f"smtp://{USER}:wrong@{address}?starttls=false").send(
            "ada@example.com", "Hello", "Text.\n"
        )
        assert not await mailer(f"smtp://{address}").send("ada@example.com", "Hello", "Text.\n")
        assert len(server.kept) == 1


@WITHOUT_TLS
async def test_tells_no_password_where_there_is_no_tls() -> None:
    with mail_server(auth_required=True, auth_require_tls=False) as server:
        ours = mailer(f"smtp://{CREDENTIALS}@{server.host}:{server.port}")
        assert not await ours.send("ada@example.com", "Hello", "Text.\n")
        assert server.users == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_does_not_trust_a_certificate_that_nobody_vouches_for(
    scheme: str, certificate: ssl.SSLContext
) -> None:
    of = {"tls": certificate} if scheme == "smtps" else {"start_tls": certificate}
    with mail_server(**of) as server:
        ours = mailer(f"{scheme}://{CREDENTIALS}@{server.host}:{server.port}")
        assert not await ours.send("ada@example.com", "Hello", "Text.\n")
        assert server.users == []
        assert server.kept == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_talks_over_tls(
    scheme: str, certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    of = {"tls": certificate} if scheme == "smtps" else {"start_tls": certificate}
    with mail_server(auth_require_tls=scheme == "smtp", **of) as server:
        ours = mailer(f"{scheme}://{CREDENTIALS}@{server.host}:{server.port}")
        assert await ours.send("ada@example.com", "Hello", "Text.\n")
        assert server.users == [USER.encode()]


async def test_what_a_server_refuses_is_logged_without_what_was_said() -> None:
    with mail_server() as server, capture_logs() as logs:
        server.answer = "554 no: https://example.com/#token=a_b-c"
        ours = mailer(f"smtp://{server.host}:{server.port}")
        assert not await ours.send("ada@example.com", "Hello", "https://example.com/#token=a_b-c")
    assert [(line["event"], line["smtp_code"]) for line in logs] == [("mail_not_sent", 554)]
    assert "token" not in str(logs)
    assert "ada@" not in str(logs)


async def test_a_server_that_is_not_there_is_not_waited_for() -> None:
    with mail_server() as server:
        address = f"{server.host}:{server.port}"
    with capture_logs() as logs:
        assert not await mailer(f"smtp://{address}").send("ada@example.com", "Hello", "Text.\n")
    assert [line["event"] for line in logs] == ["mail_not_sent"]


async def test_a_server_that_says_nothing_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    with silent_server() as port, capture_logs() as logs:
        start = time.monotonic()
        assert not await mailer(f"smtp://127.0.0.1:{port}").send("a@example.com", "Hello", "Text.")
        assert time.monotonic() - start < 5
    assert [line["event"] for line in logs] == ["mail_not_sent"]


async def test_a_subject_cannot_add_headers() -> None:
    with mail_server() as server, capture_logs():
        ours = mailer(f"smtp://{server.host}:{server.port}")
        assert not await ours.send("ada@example.com", "Hello\r\nBcc: eve@example.com", "Text.\n")
        assert server.kept == []


async def test_without_a_server_nothing_is_sent() -> None:
    ours = mailer(None, None)
    assert not ours.enabled
    assert not await ours.send("ada@example.com", "Hello", "Text.\n")


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://mail.example.com:notaport",
        "smtp://mail.example.com?starttls=perhaps",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(InvalidSetting, match="MUNIMENT_SMTP_URL"):
        mailer(url)


@pytest.mark.parametrize("sender", [None, "", "Muniment"])
def test_mails_need_a_sender(sender: str | None) -> None:
    with pytest.raises(InvalidSetting, match="MUNIMENT_MAIL_FROM"):
        mailer("smtp://mail.example.com", sender)


def test_credentials_hold_any_character() -> None:
    server = mailer(f"smtps://{CREDENTIALS}@mail.example.com")._server
    assert server is not None
    assert (server.user, server.password, server.port) == (USER, PASSWORD, 465)
