"""docs/http.md tells every route as it is."""

from muniment.app import create_app
from muniment.settings import Settings
from tools.reference import pages
from tools.reference.routes import errors, routes


def test_page_is_what_the_application_says() -> None:
    found, wanted = pages.current("http.md")
    assert found == wanted, "run make docs"


def test_every_route_is_there_and_says_what_it_does() -> None:
    text, _ = pages.current("http.md")
    found = list(routes(create_app(Settings())))
    assert found
    assert [path for _, path, _ in found if f"`{path}`" not in text] == []
    assert [path for _, path, summary in found if not summary] == []


def test_every_error_code_is_there_and_says_what_it_means() -> None:
    text, _ = pages.current("http.md")
    assert [error.code for error in errors() if f"`{error.code}`" not in text] == []
    assert [error.code for error in errors() if not error.__doc__] == []
