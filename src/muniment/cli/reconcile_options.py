"""What a person says of a reconciliation on the command line, understood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import typer

from muniment.errors import MunimentError
from muniment.reconcile.columns import Override, Role
from muniment.reconcile.results.given import FileGiven
from muniment.reconcile.rules import Rules
from muniment.settings import Settings

SIDES: Final = ("left", "right", "evidence")


class NoSuchFile(MunimentError):
    """There is no such file."""

    code = "no_such_file"
    title = "No such file"


def files_given(
    paths: dict[str, Path],
    *,
    delimiter: Sequence[str],
    encoding: Sequence[str],
    sheet: Sequence[str],
    role: Sequence[str],
    database: str | None,
) -> dict[str, FileGiven]:
    """Return the files by side with how each is to be read.

    Args:
        paths: by side; a file that ends in .sql holds a query of `database`.
        delimiter: of all files, or ``left=;``; likewise `encoding` and `sheet`.
        role: as ``left.Customer=name``.
        database: address, or name of a connection.

    Raises:
        typer.BadParameter: an option cannot be understood, or names a side that is not there.
        NoSuchFile: a path is no file.
    """
    for path in paths.values():
        if path.is_dir():
            raise NoSuchFile(f"{path} is a folder: name a file of records in it.")
        if not path.exists():
            raise NoSuchFile(f"There is no file {path}.")
    delimiters = _by_side(delimiter, "--delimiter", paths)
    encodings = _by_side(encoding, "--encoding", paths)
    sheets = _by_side(sheet, "--sheet", paths)
    overrides = _roles(role, paths)
    return {
        side: FileGiven(
            path,
            delimiter=_sign(delimiters.get(side)),
            encoding=encodings.get(side),
            sheet=sheets.get(side),
            overrides=overrides.get(side, {}),
            database=_database(path, database),
        )
        for side, path in paths.items()
    }


def address_of(database: str, settings: Settings) -> str:
    """Return the address of a database that is named, or given by its address.

    Raises:
        typer.BadParameter: it is neither.
    """
    if database in settings.reconcile_connections:
        return settings.reconcile_connections[database].get_secret_value()
    if "://" in database:
        return database
    known = ", ".join(settings.reconcile_connections) or "none"
    raise typer.BadParameter(
        f"--database {database}: it is neither an address (postgresql://...) nor a name in "
        f"MUNIMENT_RECONCILE_CONNECTIONS, which has {known}"
    )


def rules_given(path: Path | None, threshold: float | None) -> Rules:
    """Return the rules of a file with the threshold of the command line.

    Raises:
        typer.BadParameter: the file is no rules, which the message says by the field.
        NoSuchFile: there is no such file.
    """
    rules = Rules()
    if path is not None:
        try:
            rules = msgspec.json.decode(path.read_bytes(), type=Rules)
        except OSError as error:
            raise NoSuchFile(f"{path} cannot be read: {error.strerror}.") from error
        except msgspec.DecodeError as error:
            raise typer.BadParameter(f"{path} holds no rules: {error}") from error
    if threshold is not None:
        rules = msgspec.structs.replace(rules, threshold=threshold)
    return rules


def _by_side(given: Sequence[str], option: str, paths: dict[str, Path]) -> dict[str, str]:
    """Return the values by side; one without a side is for all files."""
    common: dict[str, str] = {}
    own: dict[str, str] = {}
    for value in given:
        side, sign, rest = value.partition("=")
        if sign and side in SIDES:
            if side not in paths:
                raise typer.BadParameter(f"{option} {value}: no {side} file is given")
            own[side] = rest
        else:
            common = dict.fromkeys(paths, value)
    return common | own


def _database(path: Path, database: str | None) -> str | None:
    if path.suffix.lower() != ".sql":
        return None
    if database is None:
        raise typer.BadParameter(f"{path} is a query: name its database with --database")
    return database


def _sign(given: str | None) -> str | None:
    """Return a delimiter; a tab is hard to write in a shell."""
    if given is None:
        return None
    sign = {"tab": "\t", "\\t": "\t"}.get(given, given)
    if len(sign) != 1:
        raise typer.BadParameter(f"a delimiter is one character, or the word tab, not “{given}”")
    return sign


def _roles(given: Sequence[str], paths: dict[str, Path]) -> dict[str, dict[str, Override]]:
    found: dict[str, dict[str, Override]] = {}
    for value in given:
        place, sign, name = value.rpartition("=")
        side, point, column = place.partition(".")
        if not (sign and point and column) or side not in SIDES:
            raise typer.BadParameter(f"--role {value}: write it as SIDE.COLUMN=ROLE")
        if side not in paths:
            raise typer.BadParameter(f"--role {value}: no {side} file is given")
        if name not in Role.__members__:
            raise typer.BadParameter(f"--role {value}: a role is one of {', '.join(Role)}")
        found.setdefault(side, {})[column] = Override(role=Role(name))
    return found
