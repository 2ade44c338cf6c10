"""docs/configuration.md tells every setting as it is."""

from muniment.settings import Settings
from tools.reference import pages


def test_page_is_what_the_settings_say() -> None:
    found, wanted = pages.current("configuration.md")
    assert found == wanted, "run make docs"


def test_every_setting_is_there() -> None:
    text, _ = pages.current("configuration.md")
    missing = [name for name in Settings.model_fields if f"`MUNIMENT_{name.upper()}`" not in text]
    assert missing == []


def test_every_setting_says_what_it_does() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []
