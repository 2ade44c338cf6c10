-- The statements of the cache: those of its listening connection. LISTEN itself is asyncpg's.

-- name: ping$
-- Prove that the connection lives; by the answer, all earlier announcements have arrived.
SELECT 1;

-- name: announce_mark$
-- Put a mark into the stream of announcements that all processes hear in the same order.
SELECT pg_notify(:channel, :mark) IS NULL;
