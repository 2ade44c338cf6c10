"""Cleaning of dates: many formats and languages, day and month in the order of the column."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from muniment.reconcile.cleaning.changes import Changes
from muniment.reconcile.inference.plan import Plan

_MONTHS: Final = (
    "january januar janvier enero gennaio janeiro januari jan janv ene gen sty stycznia styczen",
    "february februar fevrier febrero febbraio fevereiro februari feb fev fevr lut lutego luty",
    "march marz maerz mars marzo marco maart mar mrz mrt marca marzec",
    "april avril abril aprile apr avr abr kwi kwietnia kwiecien",
    "may mai mayo maggio maio mei maj mag maja",
    "june juni juin junio giugno junho jun giu cze czerwca czerwiec",
    "july juli juillet julio luglio julho jul juil lug lip lipca lipiec",
    "august aout agosto augustus augusti aug ago sie sierpnia sierpien",
    "september septembre septiembre settembre setembro sep sept set wrz wrzesnia wrzesien",
    "october oktober octobre octubre ottobre outubro oct okt ott out paz pazdziernika pazdziernik",
    "november novembre noviembre novembro nov lis listopada listopad",
    "december dezember decembre diciembre dicembre dezembro dec dez dic des gru grudnia grudzien",
)
MONTHS: Final = {word: number for number, line in enumerate(_MONTHS, 1) for word in line.split()}
"""Months by name and abbreviation, without case and accents."""

_YMD: Final = re.compile(r"^(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})$")
_CJK: Final = re.compile(r"^(\d{4})年(\d{1,2})月(\d{1,2})日$")
_XXY: Final = re.compile(r"^(\d{1,2})[-/. ]\s?(\d{1,2})[-/. ]\s?(\d{4}|\d{2})$")
_DMY: Final = re.compile(
    r"^(?:[^\W\d]+[.,]* )?(\d{1,2})(?:st|nd|rd|th|er|º|ª|\.)?"
    r"(?:\s*(?:of|de)\s+|[-/. ]+)([^\W\d]+)[.,]*"
    r"(?:\s*(?:de|del)\s+|[-/. ]+)(\d{4}|\d{2})$",
    re.IGNORECASE,
)
_MDY: Final = re.compile(
    r"^(?:[^\W\d]+[.,]* )?([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$", re.IGNORECASE
)
_YMONTHD: Final = re.compile(r"^(\d{4})[- ]([^\W\d]+)[- ](\d{1,2})$")
_TIME: Final = r"(?:T|,? +(?:at |um |à )?)[0-9]{1,2}:[0-9]{2}.*$"

_CENTURY: Final = 69
"""Years of two digits from 69 on are of the last century (POSIX strptime)."""


class Dates:
    """Reads the dates of one column; the same text is read once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known: dict[str, tuple[dt.date | None, str]] = {}

    def clean(self, values: pa.Array, changes: Changes) -> tuple[pa.Array, pa.Array]:
        """Return date32 values and a mask of those that are no dates.

        Args:
            values: strings without spaces at their ends; null where empty.
            changes: takes the account.
        """
        days = pc.replace_substring_regex(values, pattern=_TIME, replacement="")
        coded = days.dictionary_encode()
        texts = coded.dictionary.to_pylist()
        read = [self._read(text) for text in texts]
        dates = pa.array([date for date, _ in read], pa.date32())
        result = dates.take(coded.indices)
        changes.mark("time", values, days, pc.not_equal(values, days))
        forms = pa.array([form for _, form in read], pa.string()).take(coded.indices)
        for form in {form for _, form in read if form not in {"", "iso"}}:
            changes.mark(form, values, result, pc.equal(forms, form))
        return result, pc.and_(pc.is_valid(values), pc.is_null(result))

    def _read(self, text: str) -> tuple[dt.date | None, str]:
        found = self._known.get(text)
        if found is None:
            found = self._parse(text)
            if len(self._known) < 100_000:
                self._known[text] = found
        return found

    def _parse(self, text: str) -> tuple[dt.date | None, str]:
        if found := _YMD.match(text) or _CJK.match(text):
            form = "iso" if text[4] == text[7:8] == "-" else "date_ymd"
            return _date(found[1], found[2], found[3]), form
        if self._plan.compact_dates and len(text) == 8 and text.isdecimal():
            return self._compact(text), f"date_{self._plan.date_order}"
        if found := _XXY.match(text):
            order = "mdy" if self._plan.date_order == "mdy" else "dmy"
            day, month = (found[1], found[2]) if order == "dmy" else (found[2], found[1])
            return _date(found[3], month, day), f"date_{order}"
        if found := _DMY.match(text):
            return _named(found[3], found[2], found[1])
        if found := _MDY.match(text):
            return _named(found[3], found[1], found[2])
        if found := _YMONTHD.match(text):
            return _named(found[1], found[2], found[3])
        return None, ""

    def _compact(self, text: str) -> dt.date | None:
        if self._plan.date_order == "ymd":
            return _date(text[:4], text[4:6], text[6:])
        first, second = text[:2], text[2:4]
        day, month = (first, second) if self._plan.date_order == "dmy" else (second, first)
        return _date(text[4:], month, day)


def _date(year: str, month: str, day: str) -> dt.date | None:
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= _CENTURY else 2000
    try:
        return dt.date(number, int(month), int(day))
    except ValueError:
        return None


def _named(year: str, month: str, day: str) -> tuple[dt.date | None, str]:
    plain = month.casefold().replace("ä", "a").replace("é", "e").replace("û", "u")
    plain = plain.replace("ç", "c").replace("ń", "n").replace("ś", "s").replace("ź", "z")
    number = MONTHS.get(plain)
    return (_date(year, str(number), day) if number else None), "date_words"
