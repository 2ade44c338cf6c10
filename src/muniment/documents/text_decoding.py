"""From bytes to text: byte order marks, UTF-8, UTF-16 without a mark, declared and guessed sets."""

from __future__ import annotations

import codecs
import re

import charset_normalizer

from muniment.documents.convert_errors import NotText

_SAMPLE = 64 * 1024
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"""(?:<meta[^>]{0,200}?charset=|<\?xml[^>]{0,100}?encoding=)\s*["']?([A-Za-z0-9_.:-]{2,40})""",
    re.IGNORECASE,
)
# Text has line ends, tabs and form feeds; the escape starts the sequences of ISO-2022.
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x08\x1b")) + b"\x7f"
_NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")


def detect_encoding(head: bytes) -> str | None:
    """Return the name of the encoding of a text that starts with `head`; None for binary data.

    `head` should be 64 KiB or all of the file. A sample that ends inside a character is fine.
    """
    for mark, marked in _MARKS:
        if head.startswith(mark):
            return marked
    wide = _wide_encoding(head)
    if wide:
        return wide
    if b"\0" in head and head.count(0) > max(2, len(head) // 1000):
        return None
    if _is_utf8(head):
        return "utf-8"
    control = len(head) - len(head.translate(None, _CONTROL))
    if control > len(head) // 200 + 1:
        return None
    declared = _DECLARED.search(head[:4096])
    if declared and (name := _known(declared.group(1).decode("ascii"))):
        return name
    return _guess(head[:_SAMPLE])


def decode(data: bytes) -> str:
    """Return the text of a whole file, with line feeds as line ends and no control characters.

    Raises:
        NotText: the bytes are binary data.
    """
    encoding = detect_encoding(data[:_SAMPLE])
    if encoding is None:
        raise NotText
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        # The sample was valid and the rest is not: the guess was wrong or the file is damaged.
        text = data.decode(encoding, "replace")
        if encoding == "utf-8":
            guess = _guess(data[:_SAMPLE] + data[-_SAMPLE:])
            text = text if text.count("\ufffd") < len(text) // 1000 + 1 else data.decode(guess)
    return clean(text)


def clean(text: str) -> str:
    """Return text with line feeds as line ends, without what Postgres or a page cannot hold."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for line_end in "\f\v\x85":
        if line_end in text:
            text = text.replace(line_end, "\n")
    if text.isprintable():
        return text
    return _NOT_IN_TEXT.sub("", text)


def _wide_encoding(head: bytes) -> str | None:
    """Recognize UTF-16 without a byte order mark by where its zero bytes are."""
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > half * 0.3 and even < half * 0.02:
        return "utf-16-le"
    if even > half * 0.3 and odd < half * 0.02:
        return "utf-16-be"
    return None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _known(name: str) -> str | None:
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    # The file is not valid UTF-8, whatever it says; browsers read Latin-1 as windows-1252.
    if found.startswith("utf"):
        return None
    return "cp1252" if found == "iso8859-1" else found


def _guess(sample: bytes) -> str:
    """Guess a legacy encoding; short samples that read well in windows-1252 are taken for that."""
    best = charset_normalizer.from_bytes(sample).best()
    guess = best.encoding if best else "latin-1"
    high = sum(byte >= 0x80 for byte in sample)
    if high <= 16 or guess in ("latin_1", "iso8859_1"):
        try:
            western = sample.decode("cp1252")
        except UnicodeDecodeError:
            return guess if best else "latin-1"
        marks = [char for char in western if ord(char) >= 0x80]
        if all(char.isalpha() or char in "‘’“”–—…€£§°«»·¿¡©®™\xa0" for char in marks):
            runs = re.findall(r"[\x80-\U0010ffff]{3,}", western)
            return guess if runs else "cp1252"
    return guess
