"""What has ended by itself is deleted while a process runs."""

from __future__ import annotations

from muniment.db import Database, UserId, new_id
from muniment.settings import Settings
from muniment.tenancy.people.purging import purging
from muniment.tenancy.people.sessions import SessionTerms
from tests.waiting import until


async def test_expired_sessions_go_and_others_stay(database: Database) -> None:
    user_id = UserId(new_id())
    async with database.person(user_id) as work:
        await work.connection.execute(
            "INSERT INTO users (user_id, email, name) VALUES ($1, 'a@example.org', 'A')", user_id
        )
        for number, expires in ((1, "-1 hour"), (2, "1 hour")):
            await work.connection.execute(
                "INSERT INTO sessions (user_id, session_id, token_hash, expires_at)"
                " VALUES ($1, $2, $3, now() + $4::text::interval)",
                user_id,
                new_id(),
                bytes([number]) * 32,
                expires,
            )

    async def left() -> list[bytes]:
        async with database.person(user_id) as work:
            rows = await work.connection.fetch("SELECT token_hash FROM sessions")
        return [row["token_hash"] for row in rows]

    async with purging(database, SessionTerms.of(Settings(), b"secret"), every=0.05):

        async def purged() -> bool:
            return await left() == [bytes([2]) * 32]

        await until(purged)
