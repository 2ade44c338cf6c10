"""docs/command-line.md tells every command and option as it is."""

import typer

from muniment.cli import app
from tools.reference import commands, pages


def test_page_is_what_the_commands_say() -> None:
    found, wanted = pages.current("command-line.md")
    assert found == wanted, "run make docs"


def test_every_command_is_there_and_says_what_it_does() -> None:
    text, _ = pages.current("command-line.md")
    found = dict(commands.leaves("muniment", typer.main.get_command(app)))
    assert found
    assert [path for path in found if f"### `{path}" not in text] == []
    assert [path for path, command in found.items() if not command.help] == []


def test_every_option_says_what_it_does() -> None:
    silent = [
        f"{path} {parameter.name}"
        for path, command in commands.leaves("muniment", typer.main.get_command(app))
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []
