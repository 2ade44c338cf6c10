"""The table of settings in docs/configuration.md."""

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from muniment.settings import Settings
from tools.reference.markdown import table

_KINDS = {bool: "yes or no", int: "whole number", float: "number", str: "text"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def render() -> str:
    """Return a Markdown table with a row for each field of `Settings`, in their order."""
    prefix = Settings.model_config.get("env_prefix", "")
    rows = (
        (f"`{prefix}{name}`".upper(), _kind(field), _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return table(("Setting", "Value", "Default", "What it does"), rows)


def _kind(field: FieldInfo) -> str:
    return ", ".join([_type_name(field.annotation), *_bounds(field)])


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return " or ".join(_type_name(part) for part in parts)
    return _KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _bounds(field: FieldInfo) -> Iterator[str]:
    for constraint in field.metadata:
        for name, words in _BOUNDS.items():
            bound = getattr(constraint, name, None)
            if bound is not None:
                yield f"{words} {bound:g}" if bound < 10**5 else f"{words} {bound}"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "see below"
    if field.default is None:
        return "none"
    if field.default is PydanticUndefined:
        return "required"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
