"""What can go wrong with sources and the items they hold."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound
from muniment.jobs import PermanentFailure


class SourceNotFound(NotFound):
    """There is no such source in your organization."""

    code = "source_not_found"


class FolderNotFound(MunimentError):
    """The folder does not exist."""

    code = "folder_not_found"
    status = 422
    title = "Folder not found"


class FolderUnreadable(MunimentError):
    """The folder cannot be listed."""

    code = "folder_unreadable"
    status = 422
    title = "Folder unreadable"


class FileVanished(MunimentError):
    """The file was deleted before it could be read."""

    code = "file_vanished"
    status = 422
    title = "File vanished"


class NotAFile(MunimentError):
    """This is not a regular file (a socket, a pipe or a device)."""

    code = "not_a_file"
    status = 422
    title = "Not a file"


class SyncOverQuota(PermanentFailure):
    """The organization's tier has no room for everything that the source holds."""

    code = "quota_exceeded"
    title = "Quota exceeded"


class SyncOfSuspended(PermanentFailure):
    """The organization is suspended; its sources are in step again with the first sync after."""

    code = "organization_suspended"
    title = "Organization suspended"
