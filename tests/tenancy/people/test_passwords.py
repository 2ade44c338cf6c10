from __future__ import annotations

import asyncio
import time

import pytest
from argon2 import PasswordHasher

from muniment.tenancy.people.errors import SignInBusy, UnfitPassword
from muniment.tenancy.people.passwords import Passwords, require_fit

KNOWN = ["ada.lovelace@example.com", "Ada Lovelace"]


def reason(password: str) -> str | None:
    try:
        require_fit(password, known=KNOWN, pointer="#/password")
    except UnfitPassword as refused:
        detail: str = refused.errors[0]["detail"]
        return detail
    return None


def test_says_where_the_fault_is() -> None:
    with pytest.raises(UnfitPassword) as refused:
        require_fit("short", known=KNOWN, pointer="#/password")
    assert refused.value.errors[0]["pointer"] == "#/password"
    assert refused.value.detail == "This password cannot be used."


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "hK3vP2bq0z",
        "     a b c     d e f  g",
        "花岗岩灯笼潮汐与档案馆",
        "granite lantern tide" * 51,
    ],
)
def test_long_ones_are_fit_whatever_they_are_made_of(password: str) -> None:
    assert reason(password) is None


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("hK3vP2bq0", "at least 10"),
        ("x1y2" * 257, "at most 1024"),
        ("Ada.Lovelace@example.com", "may not be"),
        ("ada lovelace", "may not be"),
        ("1234567890", "guess"),
        ("qwertyuiop", "guess"),
        ("Password123", "guess"),
        ("aaaaaaaaaaaa", "guess"),
        ("abcdefghijkl", "guess"),
        ("lovelace2024", "guess"),
    ],
)
def test_short_common_and_personal_ones_are_not(password: str, why: str) -> None:
    assert why in (reason(password) or "")


def test_length_counts_characters_that_one_sees() -> None:
    decomposed = "e\u0301" * 9
    assert "at least" in (reason(decomposed) or "")


def test_no_password_keeps_the_estimate_busy() -> None:
    """Leet spellings multiply; the library alone takes seconds for some of 100 characters."""
    start = time.perf_counter()
    for password in ("4@8(6<1!|0$57+%2" * 64, "1" * 1024, "20190101" * 128):
        reason(password)
    assert time.perf_counter() - start < 2


async def test_verifies_what_it_hashed_and_nothing_else() -> None:
    with Passwords() as passwords:
        kept = await passwords.hash("granite lantern tide")
        assert await passwords.verify(kept, "granite lantern tide")
        assert not await passwords.verify(kept, "granite lantern tides")
        assert not await passwords.verify(kept, "")
        assert kept != await passwords.hash("granite lantern tide")


async def test_the_same_letters_in_another_encoding_are_the_same_password() -> None:
    with Passwords() as passwords:
        kept = await passwords.hash("cafe\u0301 lantern")
        assert await passwords.verify(kept, "caf\u00e9 lantern")


async def test_nobodys_hash_costs_what_anybodys_does() -> None:
    with Passwords() as passwords:
        assert not await passwords.verify(None, "granite lantern tide")
        assert not passwords.is_outdated(passwords._nobodys)
        kept = await passwords.hash("granite lantern tide")
    parameters, nobodys = kept.split("$")[:4], passwords._nobodys.split("$")[:4]
    assert parameters == nobodys
    assert [len(part) for part in kept.split("$")] == [
        len(part) for part in passwords._nobodys.split("$")
    ]


async def test_a_hash_of_other_parameters_is_outdated_and_still_good() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("granite lantern")
    with Passwords() as passwords:
        assert passwords.is_outdated(old)
        assert await passwords.verify(old, "granite lantern")


async def test_a_burst_waits_in_a_bounded_queue() -> None:
    with Passwords(workers=1, waiting=2) as passwords:
        results = await asyncio.gather(
            *(passwords.hash("granite lantern tide") for _ in range(6)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, SignInBusy)]
        assert len(refused) == 3
        assert refused[0].retry_after
        # Whoever comes later is served.
        assert await passwords.verify(await passwords.hash("granite lantern tide"), "x") is False
