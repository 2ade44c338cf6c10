"""A page that says anything but what the program says is found."""

from pathlib import Path

import pytest

from tools.reference import pages
from tools.reference.markdown import BEGIN, END, first_sentence, replaced, table


def test_a_table_survives_bars_and_line_breaks() -> None:
    assert table(("A", "B"), [("a|b", "one\n  two")]) == (
        "| A | B |\n| --- | --- |\n| a\\|b | one two |\n"
    )


def test_only_what_is_between_the_marks_is_written() -> None:
    page = f"# Title\n{BEGIN}\nold\n{END}\nprose\n"
    assert replaced(page, "new\n") == f"# Title\n{BEGIN}\n\nnew\n\n{END}\nprose\n"
    assert replaced(replaced(page, "new"), "new") == replaced(page, "new")


@pytest.mark.parametrize("page", ["no marks", BEGIN, END, f"{END}\n{BEGIN}", (BEGIN + END) * 2])
def test_a_page_without_both_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        replaced(page, "new")


def test_a_page_that_lacks_a_setting_differs(tmp_path: Path) -> None:
    text, _ = pages.current("configuration.md")
    lines = [line for line in text.splitlines(keepends=True) if "`MUNIMENT_PORT`" not in line]
    (tmp_path / "configuration.md").write_text("".join(lines))
    found, wanted = pages.current("configuration.md", tmp_path)
    assert found != wanted
    assert "`MUNIMENT_PORT`" in wanted


def test_a_summary_is_the_first_paragraph() -> None:
    assert first_sentence("One\n  sentence.\n\nMore.") == "One sentence."
    assert first_sentence(None) == ""
