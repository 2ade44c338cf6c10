"""What must not be logged: secrets in whatever form, values of rows, the text of documents."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec
import pytest
import structlog

from muniment.db import Database, TenantScope
from muniment.observability.logging import _OurHandler, configure_logging
from muniment.observability.masking import LONGEST_TEXT, mask_text, names_a_secret
from muniment.tenancy.secrets import new_secret

HUSH = "hunter2hunter2"

WITH_SECRETS = [
    f"postgres://muniment:{HUSH}@db:5432/muniment",
    f"cannot connect to 'postgresql://:{HUSH}@localhost/x'",
    f"redis://:{HUSH}@cache:6379/0",
    f"redis+sentinel://user:{HUSH}@a:26379,b:26379/main",
    f"smtp://me:a@{HUSH}@mail.example.com:587?starttls=false",
    f"Authorization: Bearer {HUSH}",
    f"authorization: Basic {HUSH}==",
    f"{{'authorization': 'Bearer {HUSH}', 'accept': '*/*'}}",
    f"sent Bearer {HUSH} to the provider",
    "sent Basic aHVudGVyMg== to the provider".replace("aHVudGVyMg", f"aHVu{HUSH}"),
    f"Cookie: theme=dark; muniment_session={HUSH}",
    f"set-cookie: muniment_session={HUSH}; Path=/; HttpOnly",
    f"X-API-Key: {HUSH}",
    f"host=db user=muniment password={HUSH} dbname=muniment",
    f"password='{HUSH} with spaces'",
    f'{{"email": "a@b.example", "password": "{HUSH}"}}',
    f'{{"password": "with \\"{HUSH}\\" in it"}}',
    f'"{{\\"password\\": \\"{HUSH}\\"}}"',
    f'"password": "cut off in the middle {HUSH}',
    f"PasswordChange(current_password='{HUSH}', new_password='{HUSH}')",
    f"SMTP_PASSWORD={HUSH}",
    f"dbPassword: {HUSH}",
    f"MUNIMENT_SECRET_KEY={HUSH}",
    f"client_secret={HUSH}&grant_type=authorization_code",
    f"access_token: {HUSH}",
    f"https://muniment.example.com/reset-password#token={HUSH}",
    f"https://muniment.example.com/accept-invitation?token={HUSH}&x=1",
    f"/v1/oidc/callback?code={HUSH}&state={HUSH}",
    f"id token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0{HUSH}.{HUSH}",
    f"key mun_{HUSH} and muo_{HUSH}",
    f'invalid input syntax for type uuid: "{HUSH}"',
    f'syntax error in tsquery: "{HUSH} &"',
    f"invalid input for query argument $3: '{HUSH}' (expected str, got int)",
    f"invalid literal for int() with base 10: '{HUSH}'",
    f"duplicate key value\nDETAIL:  Key (name)=({HUSH}) already exists.",
    f"(psycopg.errors.X) no\n[SQL: INSERT INTO x VALUES ('{HUSH}')]\n[parameters: {HUSH}]",
]

HARMLESS = [
    "the request was answered in 3 ms",
    "http://localhost:8642/v1/jobs says hello to a@b.example",
    "Basic authentication is not supported",
    "bearer tokens are refused here",
    "chunk_tokens=512 tokens: 12",
    "a compass: north; bypass: open",
    'new row violates check constraint of relation "jobs"',
    'relation "documents" does not exist',
    "0193f0c2-7f3a-7d9e-8a44-3f1e5a6b7c8d of kind sources.sync",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "muniment.documents.conversion_batch.ConversionBatch.run",
]


@pytest.mark.parametrize("text", WITH_SECRETS)
def test_secrets_in_texts(text: str) -> None:
    masked = mask_text(f"it failed: {text}")
    assert HUSH not in masked
    assert masked.startswith("it failed: ")


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay_as_they_are(text: str) -> None:
    assert mask_text(text) == text


def test_tokens_that_nothing_introduces() -> None:
    for _ in range(200):
        secret = new_secret()
        assert secret not in mask_text(f"no session {secret} here")


def test_names_of_secrets() -> None:
    secret = ["password", "new_password", "token", "session_token", "api_key", "authorization"]
    secret += ["cookie", "client_secret", "secret_key", "database_dsn", "apiKey", "session"]
    plain = ["tokens", "chunk_tokens", "key_id", "route", "event", "org_id", "session_id", "passed"]
    assert [name for name in secret if not names_a_secret(name)] == []
    assert [name for name in plain if names_a_secret(name)] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "password" * (n // 8),
        lambda n: "a_" * (n // 2) + "token=",
        lambda n: "http://a:" * (n // 9),
        lambda n: "invalid " * (n // 8),
        lambda n: "token='" * (n // 7),
        lambda n: 'token="' + "\\" * n,
        lambda n: "eyJ-" * (n // 4),
        lambda n: " " * n + "token",
        lambda n: "basic " + "a" * n,
    ],
)
def test_no_text_takes_long(make: Callable[[int], str]) -> None:
    text = make(1_000_000)
    began = time.process_time()
    masked = mask_text(text)
    assert time.process_time() - began < 0.5
    assert len(masked) < LONGEST_TEXT + 100


class Hostile(Exception):
    """Says everything it knows."""

    def __str__(self) -> str:
        return "\n".join(WITH_SECRETS)


class Unspeakable(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError(HUSH)


class Form(msgspec.Struct):
    """A body as it was received."""

    password: str


@pytest.fixture(params=["json", "pretty"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    found = io.StringIO()
    log_format: Literal["json", "pretty"] = request.param
    configure_logging(log_format, "debug", stream=found)
    return found


def hostile() -> None:
    raise Hostile


def fail_hostile() -> None:
    try:
        hostile()
    except Hostile as error:
        raise ExceptionGroup("many", [error, Unspeakable(), ValueError(HUSH[:0])]) from error


def test_hostile_exceptions_of_ours_and_of_theirs(stream: io.StringIO) -> None:
    try:
        fail_hostile()
    except ExceptionGroup as error:
        structlog.get_logger().exception("ours")
        structlog.get_logger().warning("ours too", exc_info=error)
        structlog.get_logger().warning("as a value", error=error, of=[error.exceptions[0]])
        structlog.get_logger().warning("as text", error=str(error.exceptions[0]))
        logging.getLogger("a.library").exception("theirs")
        logging.getLogger("a.library").warning("theirs: %s", error.exceptions[0])
    text = stream.getvalue()
    assert HUSH not in text
    assert "fail_hostile" in text  # where it was raised
    assert text.count("Hostile: ") >= 6  # and what it was
    assert "Unspeakable: (no message could be made)" in text


def test_secrets_in_values(stream: io.StringIO) -> None:
    structlog.get_logger().info(
        "received",
        password=HUSH,
        headers={"Authorization": HUSH, "x": ["Bearer " + HUSH], HUSH: 1} | {"token": HUSH},
        body=Form(HUSH),
        raw=f"password={HUSH}".encode(),
        deep=[[[[[[[[HUSH]]]]]]]],
        when=datetime(2026, 11, 22, tzinfo=UTC),
        who=UUID(int=7),
        share=0.5,
    )
    text = stream.getvalue()
    # A name in a mapping is no place for a secret, and cannot be told from any other.
    assert text.count(HUSH) == 1
    assert "00000000-0000-0000-0000-000000000007" in text
    assert "0.5" in text


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    document = "the words of a whole document " * 1000
    structlog.get_logger().info("read", text=document)
    structlog.get_logger().error("failed", exc_info=ValueError(document))
    text = stream.getvalue()
    assert len(text) < 2 * LONGEST_TEXT + 2000
    assert "(30000 characters)" in text


def test_a_line_that_is_not_well_made(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    [ours] = [each for each in logging.getLogger().handlers if isinstance(each, _OurHandler)]
    # Not through the logger: pytest listens to it too, and would raise.
    ours.handle(
        logging.LogRecord("a.library", logging.WARNING, "x.py", 7, "%d of %s", (HUSH,), None)
    )
    logging.getLogger("a.library").warning("the next one")
    assert HUSH not in stream.getvalue() + capsys.readouterr().err
    assert "a.library, line 7" in stream.getvalue()
    assert "the next one" in stream.getvalue()


async def test_what_postgres_quotes(
    stream: io.StringIO, database: Database, scope: TenantScope
) -> None:
    statements: list[tuple[str, Any]] = [
        # Each of them fails, and its error quotes the value.
        ("INSERT INTO once VALUES ($1), ($1)", HUSH),
        ("INSERT INTO bounded VALUES ($1)", HUSH),
        ("SELECT $1::text::uuid", HUSH),
        ("SELECT $1::text::int", HUSH),
        ("SELECT to_tsquery($1)", f"{HUSH} {HUSH} &"),
        ("SELECT $1::text::jsonb", f"{{{HUSH}"),
        ("SELECT $1::text::timestamptz", HUSH),
        ("SELECT $1::text::int[]", f"{{{HUSH}"),
        ("SELECT $1::int", HUSH),
    ]
    errors: list[Exception] = []
    for sql, value in statements:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as raised:
            async with database.unit_of_work(scope) as work:
                await work.connection.execute(
                    "CREATE TEMPORARY TABLE once (name text UNIQUE) ON COMMIT DROP"
                )
                await work.connection.execute(
                    "CREATE TEMPORARY TABLE bounded (name text CHECK (length(name) < 3)) "
                    "ON COMMIT DROP"
                )
                await work.connection.execute(sql, value)
        errors.append(raised.value)
    quoted = [error for error in errors if HUSH in str(error)]
    assert len(quoted) >= 6, "the errors of Postgres no longer quote values"
    for error in errors:
        structlog.get_logger().warning("failed", error=str(error))
        structlog.get_logger().error("failed", exc_info=error)
        logging.getLogger("a.library").error("failed: %s", error, exc_info=error)
    text = stream.getvalue()
    assert HUSH not in text
    assert "unique constraint" in text
    assert "bounded_name_check" in text  # names of constraints are what one needs


def test_masked_lines_are_well_formed(capsys: pytest.CaptureFixture[str]) -> None:
    found = io.StringIO()
    configure_logging("json", "info", stream=found)
    structlog.get_logger().info("x", error=Hostile(), nothing=None, yes=True, many={1, 2})
    line = json.loads(found.getvalue())
    assert (line["nothing"], line["yes"], sorted(line["many"])) == (None, True, [1, 2])
