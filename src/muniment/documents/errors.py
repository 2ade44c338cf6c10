"""What can go wrong with documents and their bytes."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class DocumentNotFound(NotFound):
    """There is no such document in your organization."""

    code = "document_not_found"


class BlobNotFound(NotFound):
    """The bytes of this document are no longer stored."""

    code = "blob_not_found"


class DiskFull(MunimentError):
    """The disk that holds the blobs is full: free some space; the work goes on by itself."""

    code = "disk_full"
    status = 507
    title = "Insufficient storage"


class BlobStoreUnavailable(MunimentError):
    """The blob store cannot be reached or written."""

    code = "blob_store_unavailable"
    status = 503
    title = "Blob store unavailable"


class UploadTooLarge(MunimentError):
    """A file of the upload is larger than what is imported."""

    code = "upload_too_large"
    status = 413
    title = "Upload too large"


class UploadNotAcceptable(MunimentError):
    """The upload holds no files, too many, or one without a name."""

    code = "upload_not_acceptable"
    status = 422
    title = "Upload not acceptable"


class FileChanging(MunimentError):
    """The file changed while it was being read; it is taken up by the next run."""

    code = "file_changing"
    status = 409
    title = "File changing"
