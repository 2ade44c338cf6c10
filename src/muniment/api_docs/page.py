"""The interface as a page for people, rendered from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from muniment.problems import known_problems

_METHODS = ("get", "post", "put", "patch", "delete")
_SCHEMAS = "#/components/schemas/"
_CONSTRAINTS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
}


@dataclass(frozen=True, slots=True)
class TypePart:
    """A piece of the text that describes a type, perhaps the name of a schema to link to."""

    text: str
    schema: str | None = None


def render_page(document: dict[str, Any]) -> str:
    """Return the HTML of the documents page of an OpenAPI document."""
    return _template().render(
        info=document["info"],
        groups=list(_groups(document)),
        schemas=dict(sorted(document.get("components", {}).get("schemas", {}).items())),
        problems=known_problems(),
        type_of=describe_type,
        constraints_of=describe_constraints,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("muniment.api_docs", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mark_up"] = mark_up
    return environment.get_template("page.html")


def _groups(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Give each tag with its operations, by path; operations without a tag come last."""
    operations: dict[str, list[dict[str, Any]]] = {}
    for path, item in sorted(document.get("paths", {}).items()):
        for method in _METHODS:
            if method in item:
                operation = {"method": method.upper(), "path": path, **item[method]}
                tag = (operation.get("tags") or ["other"])[0]
                operations.setdefault(tag, []).append(operation)
    for tag in document.get("tags", []):
        if tag["name"] in operations:
            yield tag, operations.pop(tag["name"])
    for name, rest in sorted(operations.items()):
        yield {"name": name}, rest


def describe_type(schema: dict[str, Any]) -> list[TypePart]:
    """Say in words which values a schema takes; names of schemas are parts of their own."""
    if reference := schema.get("$ref"):
        name = reference.removeprefix(_SCHEMAS)
        return [TypePart(name, name)]
    if alternatives := schema.get("oneOf") or schema.get("anyOf"):
        return _joined([describe_type(one) for one in alternatives], " or ")
    if "const" in schema:
        return [TypePart(repr(schema["const"]))]
    if values := schema.get("enum"):
        return [TypePart(", ".join(f"“{value}”" for value in values))]
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return _joined([describe_type(schema | {"type": one}) for one in kind], " or ")
    if kind == "array":
        return [TypePart("list of "), *describe_type(schema.get("items") or {})]
    if kind == "object" and isinstance(values := schema.get("additionalProperties"), dict):
        return [TypePart("map to "), *describe_type(values)]
    form = schema.get("format")
    return [TypePart(f"{kind} ({form})" if form else str(kind))]


def _short(value: object) -> object:
    """Write whole numbers as such; the framework describes every limit as a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def mark_up(text: str) -> Markup:
    """Return a text as HTML: its paragraphs, and what stands between backticks as code."""
    pieces = str(escape(text)).strip().split("`")
    marked = "".join(
        f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces)
    )
    # Every special character was escaped above.
    return Markup("</p><p>".join(marked.split("\n\n")))  # noqa: S704


def _joined(alternatives: list[list[TypePart]], separator: str) -> list[TypePart]:
    parts: list[TypePart] = []
    for alternative in alternatives:
        parts += [TypePart(separator), *alternative] if parts else alternative
    return parts


def describe_constraints(schema: dict[str, Any]) -> str:
    """Say in words which limits a schema sets, and its default."""
    limits = [
        text.format(_short(schema[key])) for key, text in _CONSTRAINTS.items() if key in schema
    ]
    if schema.get("default") not in (None, [], {}):
        limits.append(f"default {schema['default']}")
    return ", ".join(limits)
