-- What the doctor asks about the queue. They run as the operator, who sees every organization.

-- name: lanes
-- By lane what waits and runs, and since when the oldest due job waits that may start.
SELECT
    entry.lane,
    count(*) FILTER (WHERE entry.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE entry.state = 'running') AS running,
    extract(epoch FROM now() - min(entry.due_at) FILTER (
        WHERE entry.state <> 'running' AND NOT entry.blocked AND entry.due_at <= now()
    ))::double precision AS oldest_seconds,
    EXISTS (SELECT FROM queue.paused_lanes AS paused WHERE paused.lane = entry.lane) AS paused
FROM queue.entries AS entry
WHERE NOT EXISTS (
    SELECT FROM organizations AS org
    WHERE org.org_id = entry.org_id AND org.suspended_at IS NOT NULL
)
GROUP BY entry.lane
ORDER BY entry.lane;

-- name: live_workers$
-- Count the workers that are connected to this database.
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
    AND classid = worker_lock_class()::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: paused_lanes
-- Lanes that an operator has paused.
SELECT lane, paused_at, paused_by FROM queue.paused_lanes ORDER BY lane LIMIT 100;

-- name: silent_jobs
-- Running jobs whose worker has not shown for long that it works on them.
SELECT entry.org_id, entry.job_id, entry.kind, entry.worker_id
FROM queue.entries AS entry
WHERE entry.state = 'running' AND entry.heartbeat < now() - :silence::interval
ORDER BY entry.heartbeat
LIMIT 100;

-- name: overdue_jobs
-- Running jobs beyond their deadline whose worker still shows signs of life.
SELECT entry.org_id, entry.job_id, entry.kind, entry.worker_id
FROM queue.entries AS entry
JOIN jobs AS job ON job.org_id = entry.org_id AND job.job_id = entry.job_id
WHERE entry.state = 'running' AND job.deadline_at < now() - :overdue::interval
ORDER BY job.deadline_at
LIMIT 100;

-- name: lost_jobs
-- Jobs that are neither ended nor in the queue.
SELECT job.org_id, job.job_id, job.kind
FROM jobs AS job
WHERE job.finished_at IS NULL AND job.queued_at < now() - :age::interval
    AND NOT EXISTS (
        SELECT FROM queue.entries AS entry
        WHERE entry.org_id = job.org_id AND entry.job_id = job.job_id
    )
ORDER BY job.org_id, job.job_id
LIMIT 100;

-- name: recent_endings
-- By kind, outcome and reason the newest jobs of each organization that have ended: up to a thousand of each outcome.
SELECT recent.kind, recent.ended_as, recent.code, count(*) AS jobs
FROM organizations AS org
CROSS JOIN unnest(ARRAY['succeeded', 'failed']) AS outcome (name)
CROSS JOIN LATERAL (
    SELECT job.kind, job.ended_as, job.error ->> 'code' AS code
    FROM jobs AS job
    WHERE job.org_id = org.org_id AND job.ended_as = outcome.name AND job.job_id >= :since
    ORDER BY job.job_id DESC
    LIMIT 1000
) AS recent
GROUP BY recent.kind, recent.ended_as, recent.code
ORDER BY recent.kind;
