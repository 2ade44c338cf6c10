"""What tests run in processes of their own: well-behaved functions and all the others.

What takes long to import is imported where it is used, so that processes start quickly.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from muniment.processes.reporter import Reporter


class Numbers(msgspec.Struct):
    numbers: list[int]
    folder: Path = Path()
    """Where functions leave the ids of processes, for the test to look at."""


class Sum(msgspec.Struct):
    total: int
    folder: Path


def add_up(arguments: Numbers, report: Reporter) -> Sum:
    total = 0
    for count, number in enumerate(arguments.numbers, 1):
        total += number
        report(count, len(arguments.numbers), "numbers")
    return Sum(total, arguments.folder)


def return_nothing(arguments: Numbers, report: Reporter) -> None: ...


def refuse(arguments: Numbers, report: Reporter) -> None:
    from muniment.jobs import PermanentFailure

    raise PermanentFailure("These numbers are wrong.")


def miss(arguments: Numbers, report: Reporter) -> None:
    from muniment.jobs import JobNotFound

    raise JobNotFound("It is gone.")


def stumble(arguments: Numbers, report: Reporter) -> None:
    raise ValueError("bad\0 luck \ud800")


def hang(arguments: Numbers, report: Reporter) -> None:
    _leave_pid(arguments, "work")
    while True:
        time.sleep(1000)


def hold_the_interpreter(arguments: Numbers, report: Reporter) -> None:
    """Stay in native code, with the interpreter's lock, so that no other thread runs either."""
    _leave_pid(arguments, "work")
    ctypes.PyDLL(None).usleep(2_000_000_000)


def eat_memory(arguments: Numbers, report: Reporter) -> None:
    _leave_pid(arguments, "work")
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1024)) * 4096)


def eat_memory_in_a_child(arguments: Numbers, report: Reporter) -> None:
    """Take little itself and share it, but let a child take too much."""
    if os.fork() == 0:
        eat_memory(arguments, report)
    time.sleep(1000)


def share_memory(arguments: Numbers, report: Reporter) -> int:
    """Take two thirds of 150 MiB once and show it to two children."""
    shared = bytearray(b"x") * (100 * 2**20)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            time.sleep(0.7)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return len(shared)


def crash(arguments: Numbers, report: Reporter) -> None:
    _leave_pid(arguments, "work")
    ctypes.string_at(0)


def exit_silently(arguments: Numbers, report: Reporter) -> NoReturn:
    _leave_pid(arguments, "work")
    os._exit(0)


def end_with_sys_exit(arguments: Numbers, report: Reporter) -> NoReturn:
    sys.exit("enough")


def flood(arguments: Numbers, report: Reporter) -> NoReturn:
    _leave_pid(arguments, "work")
    line = "all work and no play\n" * 1000
    for number in range(10_000):  # about 200 MB
        print(line)  # noqa: T201
        report(number)
    raise ValueError("flooded")


def leave_children(arguments: Numbers, report: Reporter) -> Sum:
    """Leave a forked child, and one in a session of its own whose parent is gone."""
    _leave_pid(arguments, "work")
    if os.fork() == 0:
        _leave_pid(arguments, "child")
        time.sleep(1000)
    detach = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  time.sleep(1000)\nos._exit(0)"
    subprocess.run([sys.executable, "-c", detach], check=True)
    while not (arguments.folder / "child").exists():
        time.sleep(0.001)
    return Sum(0, arguments.folder)


def crash_with_children(arguments: Numbers, report: Reporter) -> None:
    leave_children(arguments, report)
    crash(arguments, report)


def hang_with_children(arguments: Numbers, report: Reporter) -> None:
    leave_children(arguments, report)
    report(1)
    hang(arguments, report)


def return_what_is_no_message(arguments: Numbers, report: Reporter) -> object:
    return object()


async def wait(arguments: Numbers, report: Reporter) -> None: ...


def without_types(arguments, report):  # type: ignore[no-untyped-def]
    ...


def _leave_pid(arguments: Numbers, name: str) -> None:
    path = arguments.folder / f".{name}"
    path.write_text(str(os.getpid()))
    path.rename(arguments.folder / name)
