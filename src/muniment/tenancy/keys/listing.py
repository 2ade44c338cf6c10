"""List the API keys of an organization and look one up."""

from __future__ import annotations

from uuid import UUID

from muniment.db import UnitOfWork, load_statements
from muniment.db.cursors import decode_cursor, encode_cursor
from muniment.tenancy.keys.errors import ApiKeyNotFound
from muniment.tenancy.keys.schemas import ApiKey, ApiKeyPage

statements = load_statements("muniment.tenancy.keys")

_LISTING = "api_keys"
_NEWEST = UUID(int=2**128 - 1)


async def list_api_keys(
    work: UnitOfWork, *, created_by: str | None, limit: int, cursor: str | None, secret: bytes
) -> ApiKeyPage:
    """Return a page of keys, newest first, in one statement; those that have ended too.

    Raises:
        InvalidCursor: the cursor is not one that this listing gave out.
    """
    before = _NEWEST if cursor is None else decode_cursor(secret, _LISTING, cursor, UUID)
    if created_by is None:
        rows = await statements.list_api_keys(work, before=before, limit=limit + 1)
    else:
        rows = await statements.list_api_keys_by_maker(
            work, created_by=created_by, before=before, limit=limit + 1
        )
    items = [ApiKey.from_row(row) for row in rows[:limit]]
    more = len(rows) > limit
    return ApiKeyPage(items, encode_cursor(secret, _LISTING, items[-1].id) if more else None)


async def find_api_key(work: UnitOfWork, api_key_id: UUID) -> ApiKey:
    """Return one key.

    Raises:
        ApiKeyNotFound: the organization has no such key.
    """
    row = await statements.get_api_key(work, api_key_id=api_key_id)
    if row is None:
        raise ApiKeyNotFound
    return ApiKey.from_row(row)
