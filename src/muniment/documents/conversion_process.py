"""The process in which files are read: it may be killed at any moment, and nothing is lost.

Run as `python -m muniment.documents.conversion_process`; frames of conversion_wire.py come in on
standard input and go out on standard output, one reply for each file.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from muniment.documents.chunk import Chunker
from muniment.documents.conversion import (
    SPOOLED_CHUNKS,
    SPOOLED_TEXT,
    Conversion,
    ConversionItem,
    append_chunks,
)
from muniment.documents.conversion_wire import (
    Converted,
    Failed,
    Ready,
    Reply,
    Setup,
    Working,
    batch_decoder,
    setup_decoder,
)
from muniment.documents.convert_errors import (
    ConversionError,
    ConversionMemory,
    FileUnreadable,
    MalformedDocument,
    SpoolFull,
)
from muniment.documents.extract import extract
from muniment.documents.large_text import convert_large_text, large_text_type
from muniment.documents.token_count import TokenCounter
from muniment.processes.child import expendable, private_streams
from muniment.processes.frames import frame, read_frame

# The parent kills at the deadline; if the parent is dead, the kernel does, this much later.
_ORPHAN_GRACE = 10.0

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileReader:
    """Converts and chunks one file at a time.

    `on_progress` is called after each part of a file that is read in parts.
    """

    def __init__(self, setup: Setup, on_progress: Callable[[], None]) -> None:
        self._setup = setup
        self._on_progress = on_progress
        self._folder: Path | None = None
        self._chunker = Chunker(TokenCounter.from_file(setup.tokenizer), setup.token_budget)

    def read(self, item: ConversionItem) -> Reply:
        """Return the conversion of a file, or why there is none."""
        self._folder = None
        reply = self._try(item)
        if isinstance(reply, Failed) and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        return reply

    def _try(self, item: ConversionItem) -> Reply:
        try:
            return Converted(self._convert(item))
        except ConversionError as error:
            return Failed(error.code, error.detail)
        except OSError as error:
            if error.errno in _FULL:
                return Failed(SpoolFull.code, SpoolFull().detail)
            return Failed(FileUnreadable.code, f"The file cannot be read: {error.strerror}.")
        except MemoryError:
            return Failed(ConversionMemory.code, ConversionMemory().detail)
        except RecursionError:
            return Failed(MalformedDocument.code, "The document is nested too deeply.")
        except Exception as error:  # noqa: BLE001 - the edge of the process: one file may not end it
            kind = type(error).__name__
            return Failed(ConversionError.code, f"The document cannot be read ({kind}: {error}).")

    def _convert(self, item: ConversionItem) -> Conversion:
        large = large_text_type(item, self._setup.limits)
        if large is not None:
            return convert_large_text(
                item, large, self._chunker, self._spool_folder(), self._on_progress
            )
        extracted = extract(item, self._setup.limits)
        chunks = self._chunker.chunk(
            extracted.text,
            title=extracted.title,
            pages=extracted.pages,
            markdown=extracted.markdown,
        )
        conversion = Conversion(
            title=extracted.title,
            media_type=extracted.media_type,
            metadata=extracted.metadata,
            warnings=extracted.warnings,
            pages=extracted.pages,
            text_length=len(extracted.text),
            text_hash=extracted.text_hash,
            chunk_count=len(chunks),
        )
        if len(extracted.text) <= self._setup.inline_characters:
            conversion.inline_text = extracted.text
            conversion.inline_chunks = chunks
        else:
            folder = self._spool_folder()
            (folder / SPOOLED_TEXT).write_text(extracted.text, encoding="utf-8", newline="")
            append_chunks(folder / SPOOLED_CHUNKS, chunks)
            conversion.spool = str(folder)
        return conversion

    def _spool_folder(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(dir=self._setup.spool))
        return self._folder


def main() -> None:
    """Serve batches until standard input ends."""
    expendable()
    # SIGALRM ends the process even inside native code, and an orphan with it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests, replies = private_streams()
    try:
        setup = setup_decoder.decode(read_frame(requests))

        def answer(reply: Reply) -> None:
            replies.write(frame(reply))
            replies.flush()
            signal.setitimer(signal.ITIMER_REAL, setup.deadline + _ORPHAN_GRACE)

        reader = FileReader(setup, lambda: answer(Working()))
        answer(Ready())
        while True:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for item in batch_decoder.decode(read_frame(requests)).items:
                signal.setitimer(signal.ITIMER_REAL, setup.deadline + _ORPHAN_GRACE)
                answer(reader.read(item))
    except (EOFError, BrokenPipeError):
        # The converter is gone or wants no more of this process. What is left in the buffers has
        # no reader, so nothing is flushed.
        os._exit(0)


if __name__ == "__main__":
    main()
