"""The API keys of the caller's organization."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from muniment.db import UnitOfWork
from muniment.tenancy.keys import change, create, listing
from muniment.tenancy.keys.schemas import (
    ApiKey,
    ApiKeyPage,
    ChangeApiKey,
    CreateApiKey,
    NewApiKey,
    RotateApiKey,
)
from muniment.tenancy.permissions import Action


@get(
    "/v1/api-keys",
    tags=["tenancy"],
    summary="List API keys, newest first",
    action=Action.KEYS_MANAGE,
    reads="replica",
)
async def list_api_keys(
    *,
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    cursor_secret: NamedDependency[SkipValidation[bytes]],
    created_by: Annotated[
        str | None,
        QueryParameter(
            min_length=1, max_length=400, description="Who made them: `user:…`, `api_key:…`."
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    cursor: Annotated[
        str | None, QueryParameter(description="`next_cursor` of the page before.")
    ] = None,
) -> ApiKeyPage:
    """Those that were revoked or have expired are there too.

    A key belongs to the organization: it stays when the member who made it is removed, and
    `created_by` still names them. Look there for keys to revoke.
    """
    return await listing.list_api_keys(
        uow, created_by=created_by, limit=limit, cursor=cursor, secret=cursor_secret
    )


@post("/v1/api-keys", tags=["tenancy"], summary="Create an API key", action=Action.KEYS_MANAGE)
async def create_api_key(
    uow: NamedDependency[SkipValidation[UnitOfWork]], data: JSONBody[CreateApiKey]
) -> Response[NewApiKey]:
    """The answer is the only place where the key can be seen: keep it.

    Its role is at most your own.
    """
    made = await create.create_api_key(
        uow,
        data.name,
        data.role,
        workspace_id=data.workspace_id,
        expires_at=data.expires_at,
        requests_per_minute=data.requests_per_minute,
    )
    return _shown_once(made)


@get(
    "/v1/api-keys/{api_key_id:uuid}",
    tags=["tenancy"],
    summary="Show an API key",
    action=Action.KEYS_MANAGE,
)
async def get_api_key(
    uow: NamedDependency[SkipValidation[UnitOfWork]], api_key_id: FromPath[UUID]
) -> ApiKey:
    """What the key opens, who made it and when it was last used; never the key itself."""
    return await listing.find_api_key(uow, api_key_id)


@patch(
    "/v1/api-keys/{api_key_id:uuid}",
    tags=["tenancy"],
    summary="Change an API key",
    action=Action.KEYS_MANAGE,
)
async def change_api_key(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    api_key_id: FromPath[UUID],
    data: JSONBody[ChangeApiKey],
) -> ApiKey:
    """Its name, or its own rate limit; what a key opens never changes."""
    return await change.change_api_key(uow, api_key_id, data)


@post(
    "/v1/api-keys/{api_key_id:uuid}/rotate",
    tags=["tenancy"],
    summary="Rotate an API key",
    action=Action.KEYS_MANAGE,
)
async def rotate_api_key(
    uow: NamedDependency[SkipValidation[UnitOfWork]],
    api_key_id: FromPath[UUID],
    data: JSONBody[RotateApiKey],
) -> Response[NewApiKey]:
    """A new key of the same rights and expiry takes the key's place, in one step.

    The old one is refused from then on; with an overlap, it is honoured for so long beside the
    new one. The key's role is at most your own. Where two rotate a key at the same time, one
    is answered 409.
    """
    overlap = timedelta(seconds=data.overlap_seconds)
    return _shown_once(await change.rotate_api_key(uow, api_key_id, overlap))


@delete(
    "/v1/api-keys/{api_key_id:uuid}",
    tags=["tenancy"],
    summary="Revoke an API key",
    action=Action.KEYS_MANAGE,
)
async def revoke_api_key(
    uow: NamedDependency[SkipValidation[UnitOfWork]], api_key_id: FromPath[UUID]
) -> None:
    """The next request with it is refused. It stays in the list, as revoked."""
    await change.revoke_api_key(uow, api_key_id)


def _shown_once(made: NewApiKey) -> Response[NewApiKey]:
    headers = {"Location": f"/v1/api-keys/{made.id}", "Cache-Control": "no-store"}
    return Response(made, status_code=201, headers=headers)


handlers = [
    list_api_keys,
    create_api_key,
    get_api_key,
    change_api_key,
    rotate_api_key,
    revoke_api_key,
]
