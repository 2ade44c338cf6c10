"""Find the processes that a test has started, also those that have lost their parent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psutil
import pytest

_MARK = "MUNIMENT_TEST_FAMILY"


class Family:
    """All processes that inherited an environment variable of ours."""

    def __init__(self) -> None:
        self.mark = uuid4().hex

    def members(self) -> list[str]:
        """The command lines of those that run now."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get(_MARK) == self.mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


@contextmanager
def new_family(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """Mark what is started in the body; nobody may be left in the end."""
    family = Family()
    monkeypatch.setenv(_MARK, family.mark)
    yield family
    assert family.members() == []
