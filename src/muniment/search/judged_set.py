"""Judged collections in the layout of BEIR (Thakur et al., NeurIPS Datasets 2021).

A folder with `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and the
judgements in `qrels.tsv` or `qrels/test.tsv` (query id, document id, score; a header is optional).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from muniment.search.errors import EvaluationUnusable

Judgements = dict[str, dict[str, int]]
"""Query id to document id to score."""

_QRELS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
_T = TypeVar("_T")


class JudgedDocument(msgspec.Struct, frozen=True):
    """One document of a collection; title and text may be missing."""

    id: str | int = msgspec.field(name="_id")
    title: str | None = None
    text: str | None = None


class JudgedQuery(msgspec.Struct, frozen=True):
    """One query of a collection."""

    id: str | int = msgspec.field(name="_id")
    text: str = ""


class JudgedSet(msgspec.Struct, frozen=True):
    """A collection; its documents stay on disk until they are iterated over."""

    folder: Path
    queries: dict[str, str]
    """Those with a relevant document: the others say nothing and are left out of averages."""
    judgements: Judgements

    def batches(self, size: int) -> Iterator[list[JudgedDocument]]:
        """Yield the documents in order, `size` at a time; of two with one id the first counts.

        Raises:
            EvaluationUnusable: a line of `corpus.jsonl` is not such a document.
        """
        seen: set[str] = set()
        documents = (
            document
            for document in _lines(self.folder / "corpus.jsonl", JudgedDocument)
            if str(document.id) not in seen and not seen.add(str(document.id))  # type: ignore[func-returns-value]
        )
        while batch := list(islice(documents, size)):
            yield batch


def read_judged_set(folder: Path) -> JudgedSet:
    """Read queries and judgements of a collection.

    Raises:
        EvaluationUnusable: a file is missing or malformed, or no query has a relevant document.
    """
    if not (folder / "corpus.jsonl").is_file():
        raise EvaluationUnusable(f"{folder} has no corpus.jsonl: is it in BEIR layout?")
    judgements = _judgements(folder)
    queries = {
        str(query.id): query.text
        for query in _lines(folder / "queries.jsonl", JudgedQuery)
        if query.text.strip()
        and any(score > 0 for score in judgements.get(str(query.id), {}).values())
    }
    if not queries:
        raise EvaluationUnusable(f"No query in {folder} has a relevant document.")
    return JudgedSet(folder, queries, {name: judgements[name] for name in queries})


def count_documents(folder: Path) -> int:
    """Count the lines of `corpus.jsonl`."""
    with (folder / "corpus.jsonl").open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _judgements(folder: Path) -> Judgements:
    path = next((folder / name for name in _QRELS if (folder / name).is_file()), None)
    if path is None:
        raise EvaluationUnusable(f"{folder} has no qrels.tsv and no qrels/test.tsv.")
    judgements: Judgements = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and not _is_number(fields[-1])):
            continue
        if len(fields) < 3 or not _is_number(fields[-1]):
            raise EvaluationUnusable(
                f"Line {number} of {path} is not query id, document id and score."
            )
        # TREC's layout has an unused second column; document and score are the last two.
        judgements.setdefault(fields[0], {})[fields[-2]] = int(float(fields[-1]))
    return judgements


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(path: Path, kind: type[_T]) -> Iterator[_T]:
    decoder = msgspec.json.Decoder(kind)
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        yield decoder.decode(line)
                    except msgspec.MsgspecError as error:
                        raise EvaluationUnusable(f"Line {number} of {path}: {error}") from error
    except OSError as error:
        raise EvaluationUnusable(f"{path} cannot be read: {error.strerror}.") from error
