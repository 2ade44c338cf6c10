"""Listing a folder: every file once, whatever it is called, and nothing beyond the root."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from muniment.sources.errors import FolderNotFound
from muniment.sources.local_folder.walk import FoundFile, UnlistedFolder, walk


def names(root: Path) -> list[str]:
    return [entry.external_id for entry in walk(root) if isinstance(entry, FoundFile)]


def test_lists_files_below_the_root_in_order(tmp_path: Path) -> None:
    for name in ("b.md", "a/z.md", "a/b/c.md", "c.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert names(tmp_path) == ["a/b/c.md", "a/z.md", "b.md", "c.md"]


def test_a_single_file_is_its_own_root(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("one")
    (tmp_path / "two.md").write_text("two")
    assert names(tmp_path / "one.md") == ["one.md"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FolderNotFound, match="nowhere"):
        list(walk(tmp_path / "nowhere"))


def test_leaves_out_hidden_names(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "shown").write_text("x")
    assert names(tmp_path) == ["shown"]


def test_links_do_not_lead_out_of_the_root_or_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside.md").write_text("text")
    (root / "link.md").symlink_to(root / "inside.md")
    (root / "escape.md").symlink_to(tmp_path / "outside.md")
    (root / "broken.md").symlink_to(root / "nothing")
    (root / "circle").symlink_to(root)
    assert names(root) == ["inside.md", "link.md"]


def test_names_that_are_no_text_stay_distinct_and_storable(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for raw in (b"caf\xe9.md", b"caf\\xe9.md", "café.md".encode(), b"new\nline.md"):
        with open(os.path.join(folder, raw), "wb") as file:
            file.write(b"x")
    found = names(tmp_path)
    assert len(set(found)) == 4
    assert all(name.encode() for name in found)


def test_a_socket_is_found_but_is_no_regular_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("door")
        [entry] = walk(tmp_path)
    assert isinstance(entry, FoundFile)
    assert not entry.regular


@contextmanager
def without_root() -> Iterator[None]:
    """Be nobody for a while: root may read everything, closed or not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_unreadable_folder_is_reported_and_the_rest_goes_on() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "closed").mkdir(mode=0)
        (root / "open.md").write_text("x")
        with without_root():
            entries = list(walk(root))
    assert [type(entry) for entry in entries] == [UnlistedFolder, FoundFile]


def test_an_unchanged_file_keeps_its_version(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("one")
    [before] = walk(tmp_path)
    [again] = walk(tmp_path)
    os.utime(path, ns=(0, 1))
    [touched] = walk(tmp_path)
    assert isinstance(before, FoundFile)
    assert before == again
    assert isinstance(touched, FoundFile)
    assert touched.version != before.version
