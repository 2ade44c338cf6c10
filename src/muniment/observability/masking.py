"""Secrets and the values of rows, taken out of what is about to be logged.

A value is masked for what it looks like, or for the name that it has. Every pattern takes time
in proportion to the text at most: what is bounded here is bounded for that reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

MASK = "***"
LONGEST_TEXT = 2000
"""Characters of one value; what is longer is no remark about the work but the work itself."""

_DEEPEST = 6
"""Containers within containers that are looked into; deeper ones are logged as a mark."""
_HARMLESS = (bool, int, float, UUID, date, datetime, timedelta)

_WORDS = (
    "password|passwd|passphrase|(?<![a-z])pass|(?<![a-z])pwd|secret(?:[_-]?key)?|"
    "api[_-]?key|credentials?|token|authorization|cookie"
)
"""What names a secret; `smtp_password` and `newPassword` do so too."""
_SECRET_NAME = re.compile(rf".*(?:{_WORDS})|(?:.*[_.-])?(?:session|cookies|dsn)", re.IGNORECASE)
_QUOTING = "invalid|malformed|out of range|syntax error|could not convert"
"""How messages begin that quote the value at fault."""
_VALUE = (
    r"""(?:\\"(?:(?!\\")[^\n])*(?:\\")?|"(?:[^"\\\n]|\\.)*["\\]?|'(?:[^'\\\n]|\\.)*['\\]?|"""
    r"""[^\s&;,'")}]+)"""
)
"""Something quoted, up to the end of its line at most, or all up to what ends a value."""
_TOKEN = re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{43}(?![\w-])", re.ASCII)
"""Session tokens and those of links: 256 random bits in base64 (`tenancy.secrets`)."""
_TOKEN_LENGTH = 43
_PATTERNS = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, replacement, flags in (
        # Our keys, whose beginning tells whose they are.
        (r"(mu[no]_)[A-Za-z0-9_-]{8,}", rf"\1{MASK}", 0),
        # The password of an address: postgres://user:password@host, redis://:password@host.
        (r"(://[^\s:/@]*:)[^\s/]*@", rf"\1{MASK}@", 0),
        # Headers as they are sent; what they hold goes to the end of the line.
        (
            r"\b((?:proxy-)?authorization|(?:set-)?cookie)(\\?['\"]?\s{0,3}:\s{0,3})[^\r\n]+",
            rf"\1\2{MASK}",
            re.IGNORECASE,
        ),
        (r"\b(bearer\s{1,3})[\w.~+/=-]{8,}", rf"\1{MASK}", re.IGNORECASE),
        (r"\b([Bb]asic\s{1,3})(?=[a-z]*[A-Z0-9+/=])[\w+/-]{6,}=*", rf"\1{MASK}", 0),
        # JSON Web Tokens, which providers of identities send.
        (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", MASK, 0),
        # name=value and "name": "value", in queries, fragments, DSNs, forms, JSON and reprs.
        (
            rf"((?:{_WORDS})\\?['\"]?\s{{0,3}}[=:]\s{{0,3}}b?){_VALUE}",
            rf"\1{MASK}",
            re.IGNORECASE | re.DOTALL,
        ),
        # What comes back from a provider of identities.
        (r"([?&#](?:code|state|nonce)=)[^\s&#'\"]+", rf"\1{MASK}", 0),
        # What Postgres, its drivers and Python quote of rows and values; it stands last in a
        # message.
        (r"(query argument \$\d+[^:]{0,80}:).*", rf"\1 {MASK}", re.DOTALL),
        (
            rf"((?:{_QUOTING})[^\"'\n]{{0,80}}: )[\"'].*",
            rf"\1{MASK}",
            re.DOTALL,
        ),
        (r"\n?\b(?:DETAIL|CONTEXT):\s.*", "", re.DOTALL),
        (r"\n?\[(?:SQL|parameters): .*", "", re.DOTALL),
    )
)
_TRIGGERS = (
    *("mun_", "muo_", "://", "eyj", "pass", "pwd", "secret", "key", "credential", "token"),
    *("authorization", "cookie", "bearer", "basic ", "?code=", "&code=", "state=", "nonce="),
    *("invalid", "malformed", "out of range", "syntax error", "could not", "argument $"),
    *("detail:", "context:", "[sql", "[param"),
)
"""Without one of these, in lower case, no pattern finds anything; most lines have none."""


def mask_text(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text without what looks like a secret or the values of a row, cut to a length."""
    if len(text) > longest:
        # Before it is looked through, so that nobody can make that take long.
        text = f"{text[:longest]}... ({len(text)} characters)"
    if _triggers(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    return text if len(text) < _TOKEN_LENGTH else _TOKEN.sub(MASK, text)


@lru_cache(maxsize=1024)
def names_a_secret(name: str) -> bool:
    """Tell whether what has this name is a secret."""
    return _SECRET_NAME.fullmatch(name) is not None


def masked(value: Any, depth: int = 0) -> Any:
    """Return a value to be logged without secrets; what is no plain data becomes masked text."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, _HARMLESS):
        return value
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {
            mask_text(str(name)): masked_field(str(name), each, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [masked(each, depth + 1) for each in value]
    return mask_text(_text(value))


def masked_field(name: str, value: Any, depth: int = 0) -> Any:
    """Return the value of a field, which its name may betray as a secret."""
    return MASK if value is not None and names_a_secret(name) else masked(value, depth)


def mask_line(line: MutableMapping[str, Any]) -> None:
    """Mask what a log line holds, in place."""
    short: list[str] = []
    for name, value in line.items():
        if type(value) is str and len(value) < _TOKEN_LENGTH and not names_a_secret(name):
            short.append(value)
        elif type(value) not in {int, float, bool}:
            line[name] = masked_field(name, value)
    # Nearly all values are short and harmless: one look at all of them is cheaper.
    if _triggers("\n".join(short)):
        for name, value in line.items():
            line[name] = masked_field(name, value)


def _triggers(text: str) -> bool:
    lowered = text.lower()
    return any(trigger in lowered for trigger in _TRIGGERS)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # what a value says of itself is code of its own
        return f"(a {type(value).__name__})"
