"""What a file is, by its first bytes before its name: a PDF called `.txt` is a PDF."""

from __future__ import annotations

import enum
import re
import zipfile
from pathlib import Path, PurePath
from typing import NamedTuple

from muniment.documents.convert_errors import (
    EncryptedDocument,
    MalformedDocument,
    NotText,
    UnsupportedType,
)
from muniment.documents.text_decoding import detect_encoding

MARKDOWN = "text/markdown"
PLAIN = "text/plain"
HTML = "text/html"
PDF = "application/pdf"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_OOXML = "application/vnd.openxmlformats-officedocument."
_HEAD = 64 * 1024
_OLE_SCAN = 64 * 1024 * 1024


class Family(enum.Enum):
    """How a media type is read."""

    MARKDOWN = "markdown"
    TEXT = "text"
    MARKUP = "markup"  # text that a converter reads after it has been decoded
    OFFICE = "office"  # binary formats of the converter
    PDF = "pdf"
    IMAGE = "image"


class MediaType(NamedTuple):
    """A media type and how it is read."""

    name: str
    family: Family


_MARKS = (
    (b"{\\rtf", MediaType("application/rtf", Family.OFFICE)),
    (b"\x89PNG\r\n\x1a\n", MediaType("image/png", Family.IMAGE)),
    (b"\xff\xd8\xff", MediaType("image/jpeg", Family.IMAGE)),
    (b"GIF8", MediaType("image/gif", Family.IMAGE)),
    (b"II*\0", MediaType("image/tiff", Family.IMAGE)),
    (b"MM\0*", MediaType("image/tiff", Family.IMAGE)),
    (b"BM", MediaType("image/bmp", Family.IMAGE)),
)
_REFUSED_MARKS = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"OggS", "a sound or video file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"\x1aE\xdf\xa3", "a video file"),
    (b"SQLite format 3\0", "a database"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)
# Names inside an OLE container, stored as UTF-16, that tell what it holds.
_OLE_NAMES = (
    ("__substg1.0_", "application/vnd.ms-outlook"),
    ("WordDocument", "application/msword"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
)
_ZIP_FOLDERS = (
    ("word/", _OOXML + "wordprocessingml.document"),
    ("ppt/", PPTX),
    ("xl/", _OOXML + "spreadsheetml.sheet"),
)
_ZIP_MIMETYPES = (
    "application/epub+zip",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
)
_TEXT_SUFFIXES = {
    ".md": MediaType(MARKDOWN, Family.MARKDOWN),
    ".markdown": MediaType(MARKDOWN, Family.MARKDOWN),
    ".mdx": MediaType(MARKDOWN, Family.MARKDOWN),
    ".html": MediaType(HTML, Family.MARKUP),
    ".htm": MediaType(HTML, Family.MARKUP),
    ".xhtml": MediaType(HTML, Family.MARKUP),
    ".csv": MediaType("text/csv", Family.MARKUP),
    ".tsv": MediaType("text/tab-separated-values", Family.MARKUP),
    ".eml": MediaType("message/rfc822", Family.MARKUP),
    ".ipynb": MediaType("application/x-ipynb+json", Family.MARKUP),
    ".rst": MediaType("text/x-rst", Family.MARKUP),
    ".org": MediaType("text/x-org", Family.MARKUP),
    ".tex": MediaType("application/x-latex", Family.MARKUP),
    ".xml": MediaType("application/xml", Family.TEXT),
    ".json": MediaType("application/json", Family.TEXT),
    ".yaml": MediaType("application/yaml", Family.TEXT),
    ".yml": MediaType("application/yaml", Family.TEXT),
    ".toml": MediaType("application/toml", Family.TEXT),
}
_HTML_START = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_EMAIL_START = re.compile(
    r"(?:(?:From|To|Cc|Date|Subject|Received|Return-Path|Message-ID|MIME-Version|Delivered-To|"
    r"Content-Type|Content-Transfer-Encoding|X-[\w-]+|DKIM-Signature):.*\r?\n(?:[ \t].*\r?\n)*){3}",
    re.I,
)


def sniff(path: Path, filename: str, declared: str | None = None) -> MediaType:
    """Return what the file at `path` is.

    Content decides where it has a signature; among kinds of text the suffix of `filename` does,
    then `declared`.

    Raises:
        NotText, UnsupportedType: it cannot be read as text.
        EncryptedDocument: an Office file whose content is encrypted.
        MalformedDocument: a ZIP-based document whose directory is damaged.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return _by_signature(path, head) or _text_type(head, filename, declared)


def _by_signature(path: Path, head: bytes) -> MediaType | None:
    if b"%PDF-" in head[:1024]:
        return MediaType(PDF, Family.PDF)
    if head.startswith(b"PK\x03\x04"):
        return MediaType(_zip_type(path), Family.OFFICE)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return MediaType(_ole_type(path), Family.OFFICE)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType("image/webp", Family.IMAGE)
    for mark, media_type in _MARKS:
        # "BM" and "GIF8" begin words too.
        if head.startswith(mark) and (b"\0" in head[:64] or media_type.family is Family.OFFICE):
            return media_type
    for mark, what in _REFUSED_MARKS:
        if head.startswith(mark) and detect_encoding(head) is None:
            raise UnsupportedType(f"The file is {what}, which cannot be read as text.")
    if head[257:262] == b"ustar":
        raise UnsupportedType("The file is an archive; import the files in it.")
    return None


def _text_type(head: bytes, filename: str, declared: str | None) -> MediaType:
    encoding = detect_encoding(head)
    if encoding is None:
        raise NotText
    by_suffix = _TEXT_SUFFIXES.get(PurePath(filename).suffix.lower())
    if by_suffix:
        return by_suffix
    start = head[:4096].decode(encoding, "replace").lstrip("\ufeff")
    if _HTML_START.match(start):
        return MediaType(HTML, Family.MARKUP)
    if _EMAIL_START.match(start):
        return MediaType("message/rfc822", Family.MARKUP)
    for known in _TEXT_SUFFIXES.values():
        if declared == known.name:
            return known
    return MediaType(PLAIN, Family.TEXT)


def _zip_type(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            mimetype = ""
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                mimetype = archive.read("mimetype").decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise MalformedDocument(
            "The file begins like a ZIP-based document, but its directory cannot be read."
        ) from error
    if mimetype in _ZIP_MIMETYPES:
        return mimetype
    for folder, media_type in _ZIP_FOLDERS:
        if any(name.startswith(folder) for name in names):
            return media_type
    raise UnsupportedType("The file is a ZIP archive; import the files in it.")


def _ole_type(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_OLE_SCAN)
    if "EncryptedPackage".encode("utf-16-le") in content:
        raise EncryptedDocument
    for name, media_type in _OLE_NAMES:
        if name.encode("utf-16-le") in content:
            return media_type
    raise UnsupportedType("The file is an OLE container of no known document type.")
