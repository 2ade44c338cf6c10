"""What remains of a heading when its markup is gone."""

from __future__ import annotations

import pytest

from muniment.documents.blocks import heading_title


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("Plain words", "Plain words"),
        ("Anchored {#anchor}", "Anchored"),
        ('Account management {href="account-management-1"}', "Account management"),
        ("Styled {.wide #top}", "Styled"),
        ("The set {a, b}", "The set {a, b}"),
        ("A [link](https://example.test) and *more*", "A link and more"),
    ],
)
def test_heading_title(markup: str, title: str) -> None:
    assert heading_title(markup) == title
