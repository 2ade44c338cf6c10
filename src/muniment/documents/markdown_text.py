"""Markdown as it is written in the wild: front matter, site-generator shortcodes, escapes."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Json = None | bool | int | float | str | list[Any] | dict[str, Any]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.M)
_LONGEST_FRONT_MATTER = 64 * 1024
_LONGEST_VALUE = 10_000
_DEEPEST_VALUE = 6
_FENCE = re.compile(r"```+|~~~+")
# Bounded, so that thousands that never close do not make it quadratic.
_SHORTCODE = re.compile(r"\{\{[<%](?:(?!\{\{).){0,1000}?[>%]\}\}", re.DOTALL)
_CODE_OR_ESCAPE = re.compile(r"(?P<code>`[^`\n]+`)|\\(?P<escaped>[!-\"$-/:-@\[-\]^_{}~])")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\n]|\([^()\n]*\)){0,3000}\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*?)[ \t#]*$", re.M)

# libyaml is ten times as fast; a build of PyYAML without it still works.
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def split_front_matter(text: str) -> tuple[dict[str, Json], str]:
    """Return the YAML front matter of a Markdown text and the text after it.

    Without front matter, or where it is not a mapping in valid YAML, the text comes back whole.
    Values are made JSON-safe; very deep and very long ones are cut.
    """
    match = _FRONT_MATTER.match(text) if text.startswith("---") else None
    if match is None or len(match.group(1)) > _LONGEST_FRONT_MATTER:
        return {}, text
    source = match.group(1)
    # An alias can stand for another alias, a few lines for gigabytes; nobody needs them here.
    if re.search(r"(?:^|[\s\[,:-])[&*]\w", source):
        loaded = _load_without_aliases(source)
    else:
        loaded = _load(source)
    if not isinstance(loaded, Mapping):
        return {}, text
    values = {str(key): json_safe(value) for key, value in loaded.items()}
    return values, text[match.end() :].lstrip("\n")


def _load(source: str) -> object:
    try:
        return yaml.load(source, Loader=_Loader)  # noqa: S506 - it is the safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _load_without_aliases(source: str) -> object:
    try:
        events = yaml.parse(source, Loader=_Loader)
        if any(isinstance(event, yaml.events.AliasEvent) for event in events):
            return None
    except yaml.YAMLError:
        return None
    return _load(source)


def json_safe(value: object, depth: int = 0) -> Json:
    """Return `value` as JSON can hold it: dates as ISO 8601, keys as strings, no NUL, bounded."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, Mapping) and depth < _DEEPEST_VALUE:
        return {str(key)[:200]: json_safe(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST_VALUE:
        return [json_safe(item, depth + 1) for item in list(value)[:1000]]
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()[:_LONGEST_VALUE]


def drop_shortcodes(text: str) -> str:
    """Return Markdown without Hugo shortcodes and comments, except in code blocks."""
    if not any(mark in text for mark in ("{{<", "{{%", "<!--")):
        return text
    return _outside_fences(text, lambda part: _SHORTCODE.sub("", _without_comments(part)))


def _without_comments(text: str) -> str:
    parts: list[str] = []
    position = 0
    while (start := text.find("<!--", position)) >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            break
        parts.append(text[position:start])
        position = end + 3
    return "".join([*parts, text[position:]])


def drop_escapes(text: str) -> str:
    r"""Return a converter's Markdown without the backslashes it puts before punctuation.

    They guard against markup that a reader of passages never renders. `\#` and `\|` stay, as
    headings and table rows hang on them, and so does all code.
    """
    if "\\" not in text:
        return text

    def bare(match: re.Match[str]) -> str:
        return match.group("code") or match.group("escaped")

    return _outside_fences(text, lambda part: _CODE_OR_ESCAPE.sub(bare, part))


def drop_links(text: str) -> str:
    """Return a converter's Markdown with links and images replaced by their words.

    The targets in a web page or an office file are long, and no reader of a passage can follow
    the relative ones.
    """
    if "](" not in text:
        return text
    return _outside_fences(text, lambda part: _LINK.sub(r"\1", part))


def first_heading(text: str) -> str | None:
    """Return the markup of the first heading within the first 20,000 characters."""
    match = _HEADING.search(text, 0, 20_000)
    return match.group(1) if match else None


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Return `text` with `change` applied to what is not in a fenced code block."""
    parts: list[str] = []
    done = position = 0
    while fence := _FENCE.search(text, position):
        position = fence.end()
        line = text[text.rfind("\n", 0, fence.start()) + 1 : fence.start()]
        if line and not line.isspace():
            continue
        mark = fence.group()
        closing = re.compile(rf"^[ \t>]*{mark}{mark[0]}*[ \t]*$", re.MULTILINE)
        end = closing.search(text, position)
        if end is None:
            break
        parts.append(change(text[done : fence.start()]))
        parts.append(text[fence.start() : end.end()])
        done = position = end.end()
    parts.append(change(text[done:]))
    return "".join(parts)
