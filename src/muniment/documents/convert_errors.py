"""Why a file could not be turned into text: one class, and one stable code, for each reason.

All are permanent: the same file fails the same way. `ConversionUnavailable` and its subclass alone
are about the machine and not the file, and trying again is sensible.
"""

from __future__ import annotations

from muniment.errors import MunimentError


class ConversionError(MunimentError):
    """The file could not be converted to text."""

    code = "conversion_failed"
    status = 422
    title = "Conversion failed"


class EmptyFile(ConversionError):
    """The file has no content."""

    code = "empty_file"
    title = "Empty file"


class UnsupportedType(ConversionError):
    """The file is of a type that cannot be read as text."""

    code = "unsupported_type"
    status = 415
    title = "Unsupported type"


class NotText(UnsupportedType):
    """The file holds binary data of no known type, not text."""

    code = "not_text"
    title = "Not text"


class EncryptedDocument(ConversionError):
    """The document is protected by a password; remove it, or import an open copy."""

    code = "encrypted_document"
    title = "Encrypted document"


class MalformedDocument(ConversionError):
    """The document is damaged and nothing could be read from it."""

    code = "malformed_document"
    title = "Malformed document"


class NoTextFound(ConversionError):
    """The document opened, but there is no text in it."""

    code = "no_text_found"
    title = "No text found"


class ConversionTimeout(ConversionError):
    """Reading the document took too long and was stopped."""

    code = "conversion_timeout"
    title = "Conversion took too long"


class ConversionMemory(ConversionError):
    """Reading the document took too much memory and was stopped."""

    code = "conversion_memory"
    title = "Conversion took too much memory"


class ConversionCrashed(ConversionError):
    """The process that read the document crashed on it."""

    code = "conversion_crashed"
    title = "Conversion crashed"


class FileTooLarge(ConversionError):
    """The file is larger than the limit for conversion."""

    code = "file_too_large"
    status = 413
    title = "File too large"


class FileUnreadable(ConversionError):
    """The file cannot be read: it is gone, or access to it is denied."""

    code = "file_unreadable"
    title = "File unreadable"


class ConversionUnavailable(ConversionError):
    """No conversion process can be started at the moment; try again shortly."""

    code = "conversion_unavailable"
    status = 503
    title = "Conversion unavailable"


class SpoolFull(ConversionUnavailable):
    """The disk for what conversion writes meanwhile is full: free some space, then try again."""

    code = "spool_full"
    status = 507
    title = "Insufficient storage"


_BY_CODE = {
    error.code: error
    for error in (
        EmptyFile,
        UnsupportedType,
        NotText,
        EncryptedDocument,
        MalformedDocument,
        NoTextFound,
        ConversionTimeout,
        ConversionMemory,
        ConversionCrashed,
        FileTooLarge,
        FileUnreadable,
        ConversionUnavailable,
        SpoolFull,
    )
}


def conversion_error(code: str, detail: str) -> ConversionError:
    """Return the error of `code`, as told by a conversion process, with its detail."""
    return _BY_CODE.get(code, ConversionError)(detail)
