"""What people sign in with, on a real database."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from muniment.cache.limits import RateLimiter
from muniment.db import Database, OrgId, Role, TenantScope
from muniment.settings import Settings
from muniment.tenancy.people.mail import Mailer
from muniment.tenancy.people.people import People, open_people
from muniment.tenancy.people.person import Person
from muniment.tenancy.people.schemas import SignIn, SignUp
from muniment.tenancy.people.sign_in import sign_in
from muniment.tenancy.people.sign_up import sign_up
from muniment.tenancy.people.signed_in import Client, SignedInUser
from muniment.tenancy.secrets import hash_of

SECRET = b"test secret"
PASSWORD = "granite lantern tide"
CLIENT = Client("192.0.2.7", "a test")

Opening = Callable[..., AbstractAsyncContextManager[People]]


@pytest.fixture
def opening(database: Database) -> Opening:
    """How to open the people room with other settings, or with a limiter that is shared."""

    @asynccontextmanager
    async def opened(
        *, limiter: RateLimiter | None = None, **settings: object
    ) -> AsyncIterator[People]:
        # Nothing of the environment of whoever runs the tests counts.
        chosen = Settings(_env_file=None, data_dir=Path("unused"), **settings)  # type: ignore[arg-type]
        async with open_people(
            database, chosen, SECRET, limiter or RateLimiter.in_memory(), Mailer(chosen)
        ) as people:
            yield people

    return opened


@pytest.fixture
async def people(opening: Opening) -> AsyncIterator[People]:
    async with opening() as people:
        yield people


async def ada(people: People, *, email: str = "ada@example.com") -> SignedInUser:
    """Sign up somebody."""
    return await sign_up(people, SignUp(email, PASSWORD, "Ada", "Analysts"), CLIENT)


async def come_back(
    people: People, password: str = PASSWORD, *, email: str = "ada@example.com"
) -> SignedInUser:
    """Sign in."""
    return await sign_in(people, SignIn(email, password), CLIENT)


def person_of(signed_in: SignedInUser) -> Person:
    """Return the person that the boundary makes of a session."""
    return Person(
        signed_in.user_id,
        signed_in.session.session_id,
        hash_of(signed_in.session.token),
        signed_in.email,
        signed_in.name,
        signed_in.org_id,
        CLIENT.address,
    )


async def tokens(database: Database, signed_in: SignedInUser) -> set[bytes]:
    """Return the hashes of the tokens of somebody's sessions."""
    async with database.person(signed_in.user_id) as work:
        rows = await work.connection.fetch("SELECT token_hash FROM sessions")
    return {row["token_hash"] for row in rows}


async def log_of(database: Database, org_id: OrgId | None) -> list[tuple[str, str]]:
    """Return who did what, from an organization's audit log, the oldest first."""
    assert org_id is not None
    scope = TenantScope(org_id, None, "test", Role.OWNER)
    async with database.unit_of_work(scope) as work:
        rows = await work.connection.fetch("SELECT actor, action FROM audit_log ORDER BY entry_id")
    return [(row["actor"], row["action"]) for row in rows]


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """What a server on loopback shows; whoever trusts `certificate.pem` trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a mail server of the tests")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "certificate.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context
