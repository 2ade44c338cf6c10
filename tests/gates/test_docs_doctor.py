"""docs/doctor.md tells every check of the doctor as it is."""

from muniment.checks import CHECKS
from tools.reference import pages


def test_page_is_what_the_checks_say() -> None:
    found, wanted = pages.current("doctor.md")
    assert found == wanted, "run make docs"


def test_every_check_is_there_and_says_what_should_hold() -> None:
    text, _ = pages.current("doctor.md")
    assert CHECKS
    assert [check.id for check in CHECKS if f"`{check.id}`" not in text] == []
    assert [check.id for check in CHECKS if not check.title.endswith(".")] == []


def test_a_check_is_named_after_its_room() -> None:
    """The module that registers it is in the room of its id."""
    assert [
        check.id
        for check in CHECKS
        if not check.examine.__module__.startswith(f"muniment.{check.room}.")
    ] == []
