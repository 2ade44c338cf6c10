"""Passwords: which ones are accepted, and how they are kept (Argon2id, RFC 9106)."""

from __future__ import annotations

import asyncio
import base64
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from zxcvbn_rs_py import zxcvbn

from muniment.tenancy.people.errors import SignInBusy, UnfitPassword

T = TypeVar("T")

SHORTEST = 10
LONGEST = 1024
"""Characters of a password. There are no rules of composition (NIST SP 800-63B, 5.1.1.2)."""

FEWEST_GUESSES = 1e6
"""Guesses that a password must withstand, as zxcvbn estimates them: its list of common passwords
and words, repetitions, keyboard rows, dates, and what is known of the person."""

_EXAMINED = 32
"""Characters that the estimate looks at; its time grows faster than their number."""

MEMORY_KIB = 32 * 1024
PASSES = 2
LANES = 1
"""Argon2id at about 60 ms on one core of the machine we develop on; more than the least that OWASP
asks for (19 MiB, two passes). RFC 9106's profile for little memory (64 MiB, three passes, four
lanes) took 170 ms there and twice the memory."""

_SALT_BYTES = 16
_HASH_BYTES = 32

_WAITING = 64
"""Who waits behind these would wait for seconds, and is told to come back instead."""


def require_fit(password: str, *, known: list[str], pointer: str) -> None:
    """Refuse a password that is too short, too long, or easily guessed.

    Args:
        password: as it was sent.
        known: what somebody who guesses knows of the person: address, name.
        pointer: to the value in the body, for the error.

    Raises:
        UnfitPassword: its `errors` say why.
    """
    password = _normalised(password)
    if len(password) < SHORTEST:
        raise _unfit(f"A password has at least {SHORTEST} characters.", pointer)
    if len(password) > LONGEST:
        raise _unfit(f"A password has at most {LONGEST} characters.", pointer)
    lowered = password.lower()
    if any(lowered == word.lower() for word in known):
        raise _unfit("The password may not be the e-mail address or the name.", pointer)
    # The parts of an address are as easily guessed as the whole.
    words = [part for word in known for part in (word, *word.replace("@", " ").split())]
    if zxcvbn(password[:_EXAMINED], words).guesses < FEWEST_GUESSES:
        raise _unfit(
            "This password is among the first that somebody would guess: "
            "take a few words that do not belong together.",
            pointer,
        )


class Passwords:
    """Hashes and verifies passwords in a few threads of its own.

    Argon2 is slow and takes memory on purpose, so what a burst of sign-ins may take is bounded:
    32 MiB for each worker, and a queue behind them.
    """

    def __init__(self, *, workers: int | None = None, waiting: int = _WAITING) -> None:
        """Hash at most `workers` passwords at a time (one for each core, four at most)."""
        workers = workers or min(4, os.cpu_count() or 1)
        self._most = workers + waiting
        self._pending = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="passwords")
        self._argon2 = PasswordHasher(
            PASSES, MEMORY_KIB, LANES, _HASH_BYTES, _SALT_BYTES, type=Type.ID
        )
        self._nobodys = _hash_of_nothing()
        self.verifications = 0
        """How often a password was verified, for tests and metrics."""

    async def hash(self, password: str) -> str:
        """Return what is kept of a password: Argon2id in its own notation.

        Raises:
            SignInBusy: too many wait already.
        """
        return await self._run(lambda: self._argon2.hash(_bytes_of(password)))

    async def hash_chosen(self, password: str, *, known: list[str], pointer: str) -> str:
        """Return what is kept of a password that a person has just chosen; see `require_fit`.

        Raises:
            UnfitPassword: it is too short, too long, or easily guessed.
            SignInBusy: too many wait already.
        """

        def check_and_hash() -> str:
            require_fit(password, known=known, pointer=pointer)
            return self._argon2.hash(_bytes_of(password))

        return await self._run(check_and_hash)

    async def verify(self, kept: str | None, password: str) -> bool:
        """Tell whether a password is the one that `kept` was made of.

        None, for somebody unknown or without a password, takes the same time and is False.

        Raises:
            SignInBusy: too many wait already.
            argon2.exceptions.InvalidHashError: what is kept is no hash.
        """
        self.verifications += 1
        return await self._run(lambda: self._matches(kept or self._nobodys, password))

    def is_outdated(self, kept: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._argon2.check_needs_rehash(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Wait for the hashes at work; those that wait are dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._argon2.verify(kept, _bytes_of(password))
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._most:
            raise SignInBusy(retry_after=2)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pending -= 1


def _hash_of_nothing() -> str:
    """Return a hash with today's parameters that no password has, without computing one."""

    def encoded(length: int) -> str:
        return base64.b64encode(os.urandom(length)).rstrip(b"=").decode()

    return (
        f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}"
        f"${encoded(_SALT_BYTES)}${encoded(_HASH_BYTES)}"
    )


def _normalised(password: str) -> str:
    """Return one spelling of what looks the same, whatever keyboard it was typed on (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def _bytes_of(password: str) -> bytes:
    return _normalised(password).encode("utf-8", "surrogatepass")


def _unfit(detail: str, pointer: str) -> UnfitPassword:
    return UnfitPassword(errors=[{"pointer": pointer, "detail": detail}])
