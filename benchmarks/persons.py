"""Synthetic persons with duplicates: seeded, so that a figure can be measured again.

    python -m benchmarks.persons 100000 persons.csv [--seed 1]

Names are made of syllables and drawn by Zipf's law (a few are very common, most are rare), towns
have postal codes, some people share surname and address. A quarter of the people is held more than
once; each further copy has slips, swapped names, moved addresses and cells left out. The last
column, `person`, tells who is who and is for judging: leave it out before matching.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

COLUMNS = [
    "record",
    "given_name",
    "surname",
    "street",
    "town",
    "postcode",
    "born",
    "phone",
    "email",
    "person",
]
_SYLLABLES: Final = (
    "an ba bel ber cal car cla cor da dan del do el en er fa fer ga gan gor ha hen il in jo "
    "ka kel kir la lan les li lo lu ma mar mel mi mo na nel ni no ol or pa per ra ran ri ro "
    "ron ru sa sel sha si so son ta tan ter ti to ton va vel vi wa wen wilm ya zo"
)
_KINDS = ["street", "road", "close", "lane", "avenue", "court", "place", "drive"]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Names:
    """Words drawn by Zipf's law."""

    words: list[str]
    sums: list[float]

    def draw(self, random: Random) -> str:
        return random.choices(self.words, cum_weights=self.sums)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("records", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.path, arguments.records, arguments.seed)


def write(path: Path, records: int, seed: int = 1) -> list[int]:
    """Write that many records without the column `person`; return who each of them is."""
    rows = list(persons(records, seed))
    Random(seed).shuffle(rows)
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS[:-1])
        writer.writerows([f"R{at:07d}", *row[:-1]] for at, row in enumerate(rows, start=1))
    return [int(row[-1]) for row in rows]


def persons(records: int, seed: int) -> Iterator[list[str]]:
    """Yield records without a number, a person's copies one after the other."""
    random = Random(seed)
    given, surnames = _names(random, 2_000, 3), _names(random, 50_000, 4)
    streets = _names(random, 10_000, 4)
    towns = [
        (word, f"{random.randint(1000, 99999):05d}") for word in _names(random, 3_000, 3).words
    ]
    made, person = 0, 0
    home = ("", "", "", "")
    while made < records:
        person += 1
        # One in six lives with the one before: same surname, street, town.
        if not home[0] or random.random() > 1 / 6:
            town = towns[min(int(random.paretovariate(0.8)), len(towns)) - 1]
            street = f"{random.randint(1, 220)} {streets.draw(random)} {random.choice(_KINDS)}"
            home = (surnames.draw(random), street, *town)
        born = f"{int(random.triangular(1930, 2006, 1975))}-{random.randint(1, 12):02d}"
        first = given.draw(random)
        phone = f"0{random.randint(10**8, 10**9 - 1)}" if random.random() < 0.6 else ""
        mail = f"{first}.{home[0]}{random.randint(1, 99)}@example.org"
        record = [first, *home, f"{born}-{random.randint(1, 28):02d}", phone]
        record += [mail if random.random() < 0.4 else "", str(person)]
        copies = random.choices([1, 2, 3], [0.75, 0.19, 0.06])[0]
        for copy in range(min(copies, records - made)):
            yield record if copy == 0 else _copied(record, random, towns, streets)
        made += copies


def _copied(
    record: list[str], random: Random, towns: list[tuple[str, str]], streets: Names
) -> list[str]:
    """Return a record as somebody else wrote it down."""
    copy = list(record)
    if random.random() < 0.05:
        copy[0], copy[1] = copy[1], copy[0]
    if random.random() < 0.1:
        copy[2] = f"{random.randint(1, 220)} {streets.draw(random)} {random.choice(_KINDS)}"
        copy[3], copy[4] = random.choice(towns)
    for at in range(len(copy) - 1):
        chance = random.random()
        if chance < 0.06:
            copy[at] = ""
        elif chance < 0.22 and copy[at]:
            copy[at] = _slip(copy[at], random)
    return copy


def _slip(text: str, random: Random) -> str:
    """Return the text with one letter or digit wrong, missing, doubled or swapped."""
    at = random.randrange(len(text))
    other = random.choice("0123456789" if text[at].isdigit() else _LETTERS)
    kind = random.randrange(4)
    if kind == 0 or text[at] in "-@.":
        return text[:at] + (other if text[at] not in "-@." else text[at]) + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]


def _names(random: Random, count: int, most: int) -> Names:
    syllables = _SYLLABLES.split()
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(random.choices(syllables, k=random.randint(2, most)))] = None
    total, sums = 0.0, []
    for rank in range(count):
        total += 1 / (rank + 10)
        sums.append(total)
    return Names(list(words), sums)


if __name__ == "__main__":
    main()
