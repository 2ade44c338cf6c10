"""Files become text, or fail with a clear reason; no file costs its neighbours anything."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import os
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from muniment.documents.conversion import Conversion, ConversionItem
from muniment.documents.convert import Converter, Limits
from muniment.documents.convert_errors import ConversionError
from muniment.documents.embedding_model import DEFAULT_MODEL, find_model
from muniment.documents.ocr import ocr_installed

TOKENIZER = find_model(DEFAULT_MODEL).tokenizer
MANIFEST = Path(__file__).parents[3] / "shared" / "data" / "documents" / "manifest.tsv"


class Case(NamedTuple):
    file: str
    case: str
    password: str
    phrase: str


def manifest() -> list[Case]:
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(encoding="utf-8") as file:
        return [
            Case(row["file"], row["case"], row["password"], row["expected_phrase"])
            for row in csv.DictReader(file, delimiter="\t")
        ]


def squeeze(text: str) -> str:
    return "".join(text.split())


@pytest.fixture
def files(shared_data: Path) -> Path:
    return shared_data / "documents" / "files"


@pytest_asyncio.fixture
async def converter(tmp_path: Path) -> AsyncIterator[Converter]:
    async with Converter(
        TOKENIZER, spool=tmp_path, processes=1, deadline=60, limits=Limits(ocr=False)
    ) as converter:
        yield converter


async def text_of(converter: Converter, path: Path, **arguments: object) -> str:
    conversion = await converter.convert(path, filename=path.name, **arguments)  # type: ignore[arg-type]
    return await checked_text(conversion)


async def checked_text(conversion: Conversion) -> str:
    """Read the text and check all that must hold of any conversion."""
    text = await conversion.markdown()
    assert text.strip()
    assert "\0" not in text
    assert len(text) == conversion.text_length
    assert hashlib.sha256(text.encode()).digest() == conversion.text_hash
    assert conversion.title
    chunks = [chunk async for batch in conversion.chunk_batches(100) for chunk in batch]
    assert len(chunks) == conversion.chunk_count > 0
    assert squeeze("".join(chunk.text for chunk in chunks)) == squeeze(text)
    assert all(text[chunk.start_offset : chunk.end_offset] == chunk.text for chunk in chunks)
    ends = [0, *(page.end_offset for page in conversion.pages)]
    for page, previous in zip(conversion.pages, ends, strict=False):
        assert previous <= page.start_offset <= page.end_offset <= len(text)
    return text


async def code_of(converter: Converter, path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        await converter.convert(path, filename=path.name)
    assert caught.value.detail
    return caught.value.code


# --- Files that others keep for testing converters ----------------------------------------------

READABLE = [
    case
    for case in manifest()
    if case.case in ("text", "large", "encoding", "legacy")
    or (case.case == "malformed" and case.phrase)
]
REFUSED = {
    "random.bin": "not_text",
    "empty.txt": "empty_file",
    "empty.pdf": "no_text_found",
    "aes-256-r6.pdf": "encrypted_document",
    "libreoffice-writer-password.pdf": "encrypted_document",
    "password.pdf": "encrypted_document",
    "password_protected.xlsx": "encrypted_document",
    "REDHAT-1531897-0.pdf": "malformed_document",
    "bug1020226.pdf": "malformed_document",
    "poppler-395-0-fuzzed.pdf": "malformed_document",
    "test_llm.jpg": "no_text_found",
    "ocr_test.pdf": "no_text_found",
}


@pytest.mark.skipif(not READABLE, reason="the folder ../shared/data is not there")
async def test_real_documents_convert(converter: Converter, files: Path) -> None:
    items = [ConversionItem(files / case.file, case.file) for case in READABLE]
    results = await converter.convert_many(items)
    missing = []
    for case, result in zip(READABLE, results, strict=True):
        if isinstance(result, ConversionError):
            missing.append(f"{case.file}: {result.detail}")
        elif squeeze(case.phrase) not in squeeze(await checked_text(result)):
            missing.append(f"{case.file}: the expected phrase is not in the text")
    assert not missing


async def test_real_documents_are_refused_for_the_right_reason(
    converter: Converter, files: Path
) -> None:
    items = [ConversionItem(files / name, name) for name in REFUSED]
    results = await converter.convert_many(items)
    codes = {
        item.filename: result.code if isinstance(result, ConversionError) else "converted"
        for item, result in zip(items, results, strict=True)
    }
    assert codes == REFUSED


async def test_every_case_of_the_manifest_is_covered(shared_data: Path) -> None:
    scans = {case.file for case in manifest() if case.case == "scan"}
    known = {case.file for case in READABLE} | set(REFUSED) | scans
    assert {case.file for case in manifest()} == known


async def test_a_password_opens_an_encrypted_pdf(converter: Converter, files: Path) -> None:
    for case in manifest():
        if case.password:
            text = await text_of(converter, files / case.file, passwords=("no", case.password))
            assert squeeze(case.phrase) in squeeze(text)


@pytest.mark.skipif(not ocr_installed(), reason="the extra `ocr` is not installed")
async def test_scans_are_recognized(tmp_path: Path, files: Path) -> None:
    async with Converter(TOKENIZER, spool=tmp_path, processes=1) as converter:
        assert "5bda1dd6" in await text_of(converter, files / "test_llm.jpg")
        text = await text_of(converter, files / "ocr_test.pdf")
    assert squeeze("Docling bundles PDF document conversion to") in squeeze(text)


async def test_pages_of_a_pdf_are_exact(converter: Converter, files: Path) -> None:
    conversion = await converter.convert(
        files / "pdflatex-4-pages.pdf", filename="pdflatex-4-pages.pdf"
    )
    text = await conversion.markdown()
    assert [page.number for page in conversion.pages] == [1, 2, 3, 4]
    second = text[conversion.pages[1].start_offset : conversion.pages[1].end_offset]
    assert second.startswith("information. Really? Is there no information?")


async def test_slides_are_pages(converter: Converter, files: Path) -> None:
    name = "markitdown-test.pptx"
    conversion = await converter.convert(files / name, filename=name)
    text = await checked_text(conversion)
    numbers = [page.number for page in conversion.pages]
    assert numbers == sorted(set(numbers))
    [second] = [page for page in conversion.pages if page.number == 2]
    assert "AutoGen is an open-source framework" in text[second.start_offset : second.end_offset]


async def test_running_lines_are_not_part_of_the_text(converter: Converter) -> None:
    report = Path(__file__).parents[2] / "src/muniment/sample/documents/annual-report-2025.pdf"
    conversion = await converter.convert(report, filename=report.name)
    text = await checked_text(conversion)
    assert "Harrow Sound Tidal Observatory" not in text
    assert conversion.title == "Annual Report 2025"
    assert conversion.metadata["authors"] == ["Ingrid Vale"]
    [chunks] = [batch async for batch in conversion.chunk_batches()]
    [cost] = [chunk for chunk in chunks if "14,700 crowns" in chunk.text]
    assert (cost.page, cost.heading_path) == (2, ("Money",))


# --- Names, encodings, front matter -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wrong_name", "phrase", "media_type"),
    [
        ("minimal-document.pdf", "notes.txt", "consetetur", "application/pdf"),
        ("lorem_ipsum.docx", "data.bin", "consectetur", "application/vnd.openxml"),
        ("wiki.md", "wiki", "nicknamed Big Blue", "text/plain"),
        ("test_wikipedia.html", "page", "Microsoft", "text/html"),
    ],
)
async def test_content_counts_more_than_the_name(
    converter: Converter, files: Path, name: str, wrong_name: str, phrase: str, media_type: str
) -> None:
    conversion = await converter.convert(files / name, filename=wrong_name)
    assert phrase in await conversion.markdown()
    assert conversion.media_type.startswith(media_type)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus Köln — naïve “quotes”", "utf-8-sig"),
        ("Grüße aus Köln — naïve “quotes”", "utf-16"),
        ("Grüße aus Köln — naïve “quotes”", "utf-16-be"),
        ("Grüße aus Köln — naïve “quotes”", "utf-32"),
        ("Die Brücke über den Fluß wurde 1931 für 3 £ eröffnet – naïve", "cp1252"),
        ("会議の議事録です。次の会議は来週の火曜日に開かれます。", "shift_jis"),
        ("Протокол собрания: следующее заседание состоится во вторник.", "cp1251"),
        ("这是会议记录，下一次会议将于下周二举行，请大家准时参加。", "gb18030"),
    ],
)
async def test_encodings_are_recognized(
    converter: Converter, tmp_path: Path, text: str, encoding: str
) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(text.encode(encoding))
    assert await text_of(converter, path) == text


async def test_line_ends_and_control_characters_are_cleaned(
    converter: Converter, tmp_path: Path
) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"one\r\ntwo\rthree\0four\x0cfive\x07")
    assert await text_of(converter, path) == "one\ntwo\nthreefour\nfive"


async def test_front_matter_becomes_metadata(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "---\ntitle: Tides & currents\ndescription: How they run\ndate: 2026-03-14\n"
        "tags: [sea, moon]\nnested: {a: {b: 1}}\n---\n\n{{% note %}}\n# Tides\n\n"
        "The sea {{< icon >}} rises.\n\n```\n{{< kept >}}\n```\n<!-- hidden -->\n"
    )
    conversion = await converter.convert(path, filename=path.name)
    text = await checked_text(conversion)
    assert conversion.title == "Tides & currents"
    assert conversion.metadata == {
        "title": "Tides & currents",
        "description": "How they run",
        "date": "2026-03-14",
        "tags": ["sea", "moon"],
        "nested": {"a": {"b": 1}},
    }
    assert "title:" not in text
    assert "hidden" not in text
    assert text.count("{{") == 1
    assert "The sea  rises." in text


@pytest.mark.parametrize(
    "head",
    [
        "---\n[unclosed\n---\n",
        "---\n- a list\n---\n",
        "---\na: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n---\n",
        "---\n" + "[" * 5000 + "\n---\n",
        "---\nonly: opened\n",
    ],
)
async def test_odd_front_matter_is_text(converter: Converter, tmp_path: Path, head: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"{head}\nBody text.\n")
    assert "Body text." in await text_of(converter, path)


async def test_titles_come_from_the_best_place(converter: Converter, tmp_path: Path) -> None:
    path = tmp_path / "the-name.md"
    path.write_text("Some text.\n\n# The [heading](x)\n\nMore.\n")
    assert (await converter.convert(path, filename=path.name)).title == "The heading"
    assert (await converter.convert(path, filename=path.name, title="Given")).title == "Given"
    path.write_text("Some text.\n")
    assert (await converter.convert(path, filename="a/the-name.md")).title == "the-name"


# --- Files that cannot be read ------------------------------------------------------------------


async def test_missing_empty_and_binary_files(converter: Converter, tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    assert await code_of(converter, missing) == "file_unreadable"
    (tmp_path / "empty.md").touch()
    assert await code_of(converter, tmp_path / "empty.md") == "empty_file"
    (tmp_path / "blank.txt").write_text(" \n\n\t")
    assert await code_of(converter, tmp_path / "blank.txt") == "no_text_found"
    (tmp_path / "data.txt").write_bytes(os.urandom(5000))
    assert await code_of(converter, tmp_path / "data.txt") == "not_text"
    assert await code_of(converter, tmp_path) == "file_unreadable"


async def test_archives_and_media_are_refused_by_name(converter: Converter, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("note.txt", "hello")
    assert await code_of(converter, tmp_path / "a.zip") == "unsupported_type"
    (tmp_path / "program").write_bytes(b"\x7fELF\2\1\1" + bytes(200))
    assert await code_of(converter, tmp_path / "program") == "unsupported_type"


async def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_text("word " * 1000)
    limits = Limits(max_bytes=1000)
    async with Converter(TOKENIZER, spool=tmp_path, processes=1, limits=limits) as converter:
        assert await code_of(converter, path) == "file_too_large"


def truncated_docx(folder: Path) -> Path:
    source = Path(__file__).parents[2] / "src/muniment/sample/documents/instrument-maintenance.docx"
    path = folder / "cut.docx"
    path.write_bytes(source.read_bytes()[:9000])
    return path


def zip_bomb(folder: Path) -> Path:
    path = folder / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as file:
            file.write(b'<w:document xmlns:w="http://x"><w:body><w:p><w:r><w:t>')
            for _ in range(1500):
                file.write(b"A" * 1024 * 1024)
    return path


def billion_laughs(folder: Path) -> Path:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    xml = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "lol">{entities}]><d>&l11;</d>'
    path = folder / "laughs.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", xml)
    return path


def nested_html(folder: Path) -> Path:
    path = folder / "nested.html"
    path.write_text("<html><body>" + "<div>" * 200_000 + "deep" + "</div>" * 200_000)
    return path


def nested_lists(folder: Path) -> Path:
    path = folder / "nested.md"
    path.write_text("> " * 100_000 + "deep\n" + "[" * 100_000 + "\n" + "`" * 100_001)
    return path


def garbage_pdf(folder: Path) -> Path:
    path = folder / "garbage.pdf"
    path.write_bytes(b"%PDF-1.7\n" + os.urandom(200_000))
    return path


def comments(folder: Path) -> Path:
    path = folder / "comments.md"
    path.write_text("<!-- {{< \n" * 30_000)
    return path


@pytest.mark.parametrize(
    "make",
    [truncated_docx, zip_bomb, billion_laughs, nested_html, nested_lists, garbage_pdf, comments],
)
async def test_hostile_files_end_within_the_deadline_and_spare_their_neighbours(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    before, after = tmp_path / "before.md", tmp_path / "after.md"
    before.write_text("# Before\n\nFine.\n")
    after.write_text("# After\n\nFine.\n")
    hostile = make(tmp_path)
    async with Converter(
        TOKENIZER, spool=tmp_path, processes=1, deadline=15, memory_mb=400
    ) as converter:
        async with asyncio.timeout(60):
            results = await converter.convert_many(
                [ConversionItem(path, path.name) for path in (before, hostile, after)]
            )
    assert isinstance(results[0], Conversion)
    assert isinstance(results[2], Conversion)
    if isinstance(results[1], ConversionError):
        assert results[1].code != "conversion_failed"
        assert results[1].detail
