"""What callers are told of their limits, and whom an address stands for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from muniment.cache.errors import RateLimited
from muniment.cache.limits import RateLimiter, open_limiter
from muniment.cache.limits_address import network_of
from muniment.db import Database, OrgId, UserId, new_id
from muniment.rate_limits import PERSON_PER_MINUTE, InboundLimits
from muniment.settings import Settings
from muniment.tier_settings import Tiers
from tests.app.conftest import application, client_of


class Clock:
    """A clock that a test moves; it begins with a window."""

    def __init__(self) -> None:
        self.now = 9_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> InboundLimits:
    settings = Settings(data_dir=Path(tempfile.gettempdir()), sign_in_attempts_per_address=2)
    return InboundLimits(RateLimiter.in_memory(clock=clock), settings)


@pytest.fixture
def org_id() -> OrgId:
    return OrgId(new_id())


async def test_tells_what_is_left(limits: InboundLimits, clock: Clock, org_id: OrgId) -> None:
    clock.now += 43
    for _ in range(58):
        headers = await limits.admit_tenant(org_id, 100, None, None)
    assert headers == [
        (b"RateLimit-Policy", b'"organization";q=100;w=60'),
        (b"RateLimit", b'"organization";r=42;t=17'),
    ]


async def test_tells_the_tightest_of_two(limits: InboundLimits, org_id: OrgId) -> None:
    key = uuid4()
    headers = await limits.admit_tenant(org_id, 100, key, 10)
    assert headers == [
        (b"RateLimit-Policy", b'"organization";q=100;w=60, "key";q=10;w=60'),
        (b"RateLimit", b'"key";r=9;t=60'),
    ]
    # A key without a limit of its own is not counted.
    headers = await limits.admit_tenant(org_id, 100, key, None)
    assert headers[1] == (b"RateLimit", b'"organization";r=98;t=60')


async def test_refuses_and_says_when_to_come_back(
    limits: InboundLimits, clock: Clock, org_id: OrgId
) -> None:
    for _ in range(100):
        await limits.admit_tenant(org_id, 100, None, None)
    clock.now += 10
    with pytest.raises(RateLimited) as raised:
        await limits.admit_tenant(org_id, 100, None, None)
    error = raised.value
    assert (error.status, error.code, error.retry_after) == (429, "rate_limited", 51)
    assert error.detail == (
        "The organization may make 100 requests in 60 seconds; try again in 51 s."
    )
    assert dict(error.headers) == {
        "RateLimit-Policy": '"organization";q=100;w=60',
        "RateLimit": '"organization";r=0;t=51',
    }
    # Who waits as long as told is admitted, and another organization never was held up.
    await limits.admit_tenant(OrgId(new_id()), 100, None, None)
    clock.now += 51
    await limits.admit_tenant(org_id, 100, None, None)


async def test_a_key_that_is_refused_takes_nothing_from_its_organization(
    limits: InboundLimits, org_id: OrgId
) -> None:
    key = uuid4()
    for _ in range(10):
        await limits.admit_tenant(org_id, 100, key, 10)
    for _ in range(50):
        with pytest.raises(RateLimited, match="This API key may make 10 requests"):
            await limits.admit_tenant(org_id, 100, key, 10)
    headers = await limits.admit_tenant(org_id, 100, None, None)
    assert headers[1] == (b"RateLimit", b'"organization";r=89;t=60')


async def test_holds_a_person_to_a_number(limits: InboundLimits) -> None:
    person, other = UserId(new_id()), UserId(new_id())
    for _ in range(PERSON_PER_MINUTE):
        await limits.admit_person(person)
    with pytest.raises(RateLimited, match="Your account"):
        await limits.admit_person(person)
    [(_, policy), _left] = await limits.admit_person(other)
    assert policy == b'"person";q=120;w=60'


async def test_holds_a_network_to_its_number(limits: InboundLimits) -> None:
    for number in range(20):
        headers = await limits.admit_address(f"2001:db8:1:2::{number:x}")
    assert headers[0] == (b"RateLimit-Policy", b'"address";q=20;w=900')
    with pytest.raises(RateLimited, match="This address may make 20 requests in 900 seconds"):
        await limits.admit_address("2001:db8:1:2:ffff::1")
    await limits.admit_address("2001:db8:1:3::1")


async def test_says_nothing_of_what_is_left_while_nobody_counts(org_id: OrgId) -> None:
    settings = Settings(data_dir=Path(tempfile.gettempdir()), sign_in_attempts_per_address=1)
    async with open_limiter("redis://127.0.0.1:1") as limiter:
        limits = InboundLimits(limiter, settings)
        headers = await limits.admit_tenant(org_id, 1, None, None)
        assert headers == [(b"RateLimit-Policy", b'"organization";q=1;w=60')]
        await limits.admit_tenant(org_id, 1, None, None)
        # An address is held to its number by this process alone.
        for _ in range(10):
            await limits.admit_address("192.0.2.1")
        with pytest.raises(RateLimited):
            await limits.admit_address("192.0.2.1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("192.0.2.1:80", "unknown"),
        ("192.0.2", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        ("x" * 10_000, "unknown"),
    ],
)
def test_an_address_stands_for_a_network(address: str | None, network: str) -> None:
    assert network_of(address) == network


async def test_a_caller_is_told_over_http(database: Database, api_key: str) -> None:
    settings = Settings(
        data_dir=Path(tempfile.gettempdir()),
        tiers=Tiers.model_validate({"enterprise": {"requests_per_minute": 2}}),
    )
    async with client_of(application(database, settings)) as client:
        client.headers["authorization"] = f"Bearer {api_key}"
        answers = [await client.get("/v1/test/organization") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[0].headers["ratelimit-policy"] == '"organization";q=2;w=60'
    assert answers[0].headers["ratelimit"].startswith('"organization";r=1;t=')
    refused = answers[2]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited"
    wait = int(refused.headers["retry-after"])
    assert 1 <= wait <= 120
    assert refused.headers["ratelimit"] == f'"organization";r=0;t={wait}'
