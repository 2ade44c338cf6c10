"""Two small lists of the same people, written down by two hands."""

from __future__ import annotations

import random

LEFT = """\
id,name,city,phone
a1,Anna Lindqvist,Uppsala,018-123456
a2,Bram de Vries,Utrecht,030-7654321
a3,Chiara Rossi,Torino,011-5551234
a4,Dieter Baumann,Kassel,0561-98765
a5,Eva Novotna,Brno,054-333222
"""
RIGHT = """\
ref,full name,town,telephone
z9,Lindqvist Anna,Uppsala,018123456
z8,Bram de Vries,Utrecht,0307654321
z7,Chiara Rosi,Torino,0115551234
z6,Dieter Bauman,Kassel,056198765
z5,Olga Petrova,Sofia,02-777888
"""


def turned(text: str) -> str:
    """The same records in the opposite order."""
    header, *records = text.splitlines()
    return "\n".join([header, *reversed(records), ""])


_FIRST = [
    "Anna",
    "Bram",
    "Chiara",
    "Dieter",
    "Eva",
    "Farid",
    "Greta",
    "Hanno",
    "Ines",
    "Jakub",
    "Karin",
    "Lars",
    "Mira",
    "Nadia",
]
_LAST = [
    "Lindqvist",
    "Vries",
    "Rossi",
    "Baumann",
    "Novotna",
    "Petrov",
    "Okafor",
    "Haddad",
    "Silva",
    "Moreau",
    "Kovacs",
]
_CITY = ["Uppsala", "Utrecht", "Torino", "Kassel", "Brno", "Sofia", "Lagos", "Porto"]


def many(count: int) -> tuple[list[str], list[str]]:
    """Return as many people on two lists, the second one in another order and with slips.

    Each list begins with its header; the first person of the one is not on the other.
    """
    chance = random.Random(7)  # the same people in every run
    people = [
        (
            chance.choice(_FIRST),
            chance.choice(_LAST),
            chance.choice(_CITY),
            str(number * 7919 % 10**6),
        )
        for number in range(1001, 1001 + count)
    ]
    left = [
        f"a{at},{one} {two},{city},{phone}" for at, (one, two, city, phone) in enumerate(people)
    ]
    right = []
    for at, (one, two, city, phone) in enumerate(people):
        slip = chance.randrange(1, len(two))
        shown = two[:slip] + two[slip + 1 :] if chance.random() < 0.3 else two
        right.append(f"z{at},{one} {shown},{city},{phone}")
    right[0] = "z0,Olga Petrova,Split,999999"
    chance.shuffle(right)
    return ["id,name,city,phone", *left], ["ref,full name,town,telephone", *right]


def text(lines: list[str]) -> str:
    return "\n".join([*lines, ""])
