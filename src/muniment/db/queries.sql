-- The statements of the pools themselves: how far a replica has come.

-- name: primary_position$
-- Tell where the primary writes next, in bytes from the beginning of its log.
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint;

-- name: replayed_position$
-- Tell up to where a replica shows the primary's log; nothing where it is none (any more).
SELECT
    CASE WHEN pg_is_in_recovery()
        THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint
    END;
