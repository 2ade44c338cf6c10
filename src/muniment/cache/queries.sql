-- The statements of the cache: those of its listening connection. LISTEN itself is asyncpg's.

-- name: ping$
-- Prove that the connection lives; by the answer, all earlier announcements have arrived.
SELECT 1;

-- name: announce_mark$
-- Put a mark into the stream of announcements that all processes hear in the same order.
SELECT pg_notify(:channel, :mark) IS NULL;

-- name: call_the_roll
-- Ask every other connection that listens whether it has heard all announcements until now.
-- Nothing is asked where there is none; of several rows Postgres sends one notification.
SELECT pid, pg_notify(:channel, :question) IS NULL AS asked
FROM pg_stat_activity
WHERE
    datname = current_database() AND application_name = :listener AND pid <> pg_backend_pid()
LIMIT 10000;

-- name: answer_the_roll
-- Tell other processes that all announcements before their questions have arrived here.
SELECT pg_notify(:prefix || asker, question) IS NULL AS told
FROM unnest(:askers::text [], :questions::text []) AS owed (asker, question)
LIMIT 10000;
