"""Why an API key cannot be found or rotated."""

from __future__ import annotations

from muniment.errors import MunimentError, NotFound


class ApiKeyNotFound(NotFound):
    """There is no such API key in your organization."""

    code = "api_key_not_found"


class ApiKeyReplaced(MunimentError):
    """This API key was rotated before; rotate the key that took its place."""

    code = "api_key_replaced"
    status = 409
    title = "API key replaced"


class ApiKeyEnded(MunimentError):
    """This API key was revoked or has expired; create another one."""

    code = "api_key_ended"
    status = 409
    title = "API key ended"
