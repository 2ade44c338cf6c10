"""The commands and their options in docs/command-line.md."""

from collections.abc import Iterator
from typing import Any

import typer

from muniment.cli import app
from tools.reference.markdown import table


def render() -> str:
    """Return a section for each command: usage, what it does, its arguments and options."""
    root = typer.main.get_command(app)
    return "\n".join(_section(path, command) for path, command in leaves("muniment", root))


def leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield each command that does something, with the words that call it."""
    if command.hidden:
        return
    groups: dict[str, Any] = getattr(command, "commands", {})
    if not groups or getattr(command, "invoke_without_command", False):
        yield path, command
    for name, child in groups.items():
        yield from leaves(f"{path} {name}", child)


def _section(path: str, command: Any) -> str:
    usage = " ".join([path, *(_metavar(parameter) for parameter in _arguments(command))])
    parts = [f"### `{usage}`\n", _paragraphs(command.help)]
    rows = [_row(parameter) for parameter in command.params if _is_told(parameter)]
    if rows:
        parts.append(table(("Argument or option", "Default", "What it does"), rows))
    return "\n".join(part for part in parts if part)


def _paragraphs(text: str | None) -> str:
    blocks = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks) + "\n"


def _arguments(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "argument"]


def _metavar(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    name = f"{name}..." if argument.nargs == -1 and not name.endswith("...") else name
    return name if argument.required else f"[{name}]"


def _is_told(parameter: Any) -> bool:
    return not getattr(parameter, "hidden", False) and parameter.name != "help"


def _row(parameter: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        name = ", ".join(f"`{flag}`" for flag in [*parameter.opts, *parameter.secondary_opts])
    return name, _default(parameter), getattr(parameter, "help", None) or ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if callable(value) or value is None or value in ((), []):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{getattr(value, 'value', value)}`"
