-- name: insert_jobs
-- Track new jobs; where one of the same key waits, return that one and hold its start until commit.
INSERT INTO jobs AS job (
    org_id, job_id, workspace_id, parent_id, kind, lane, priority, payload, dedupe_key,
    max_attempts, deadline, run_after
)
SELECT
    :org_id::uuid, fresh.job_id, :workspace_id::uuid, :parent_id::uuid, :kind, :lane, :priority::integer,
    fresh.payload, fresh.dedupe_key, :max_attempts::integer, :deadline::interval,
    CASE WHEN :run_after::interval > interval '0' THEN now() + :run_after::interval END
FROM unnest(:job_ids::uuid[], :payloads::jsonb[], :dedupe_keys::text[])
    AS fresh (job_id, payload, dedupe_key)
ON CONFLICT (org_id, kind, dedupe_key)
    WHERE dedupe_key IS NOT NULL
    DO UPDATE SET dedupe_key = excluded.dedupe_key
RETURNING job.job_id, job.dedupe_key;

-- name: start_jobs
-- Mark jobs as running that this worker has just claimed. Bounded by the claims it is given.
SELECT org_id, job_id, workspace_id, kind, payload, attempts, max_attempts, deadline
FROM start_jobs(:worker_id::uuid, :org_ids::uuid[], :job_ids::uuid[]);

-- name: put_back_claims$
-- Undo claims whose jobs could not be started.
SELECT put_back_claims(:queue_ids::bigint[], :org_ids::uuid[], :job_ids::uuid[]);

-- name: next_due$
-- Tell how long until the next delayed job of a lane is due.
SELECT execute_after - now()
FROM queue.pgqueuer
WHERE status = 'queued' AND entrypoint = :lane AND execute_after > now()
ORDER BY execute_after
LIMIT 1;

-- name: finish_jobs
-- End jobs that this worker holds, in queue and tracked row. Bounded by the jobs it is given.
SELECT finish_jobs(
    :worker_id::uuid, :queue_ids::bigint[], :org_ids::uuid[], :job_ids::uuid[], :statuses::text[],
    :errors::jsonb[], :done::bigint[], :totals::bigint[], :units::text[]
) AS job_id;

-- name: requeue_jobs
-- Queue jobs that this worker holds once more. Bounded by the jobs it is given.
SELECT requeue_jobs(
    :worker_id::uuid, :queue_ids::bigint[], :org_ids::uuid[], :job_ids::uuid[],
    :errors::jsonb[], :delays::interval[], :refunds::integer[]
) AS job_id;

-- name: record_progress$
-- Write how far running jobs have come.
SELECT record_progress(
    :worker_id::uuid, :org_ids::uuid[], :job_ids::uuid[],
    :done::bigint[], :totals::bigint[], :units::text[]
);

-- name: hold_job$
-- Check that this worker still has the job, and keep others from taking it until commit.
SELECT 1
FROM jobs
WHERE org_id = :org_id AND job_id = :job_id
    AND status = 'running' AND worker_id = :worker_id AND attempts = :attempt
FOR SHARE;

-- name: take_worker_lock$
-- Hold this worker's sign of life for as long as the connection lives.
SELECT pg_try_advisory_lock(worker_lock_class(), worker_lock_key(:worker_id::uuid));

-- name: live_workers$
-- Count the workers that are connected to this database.
SELECT count(*)
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 2 AND granted
    AND classid = worker_lock_class()::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: ping$
-- Find out whether the connection still leads to the server.
SELECT 1;

-- name: dead_workers
-- Find workers that hold jobs but have lost their sign of life.
SELECT DISTINCT entry.queue_manager_id AS worker_id
FROM queue.pgqueuer AS entry
WHERE entry.status = 'picked'
    AND entry.queue_manager_id IS NOT NULL
    AND entry.queue_manager_id <> :worker_id::uuid
    AND NOT EXISTS (
        SELECT
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND classid = worker_lock_class()::oid
            AND objid = worker_lock_key(entry.queue_manager_id)::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
LIMIT 100;

-- name: take_over_jobs
-- Queue jobs of dead or long silent workers again, or fail those without an attempt left.
SELECT org_id, job_id, kind, status, attempts
FROM take_over_jobs(:dead::uuid[], :silence::interval)
LIMIT 1000;

-- name: beat
-- Show that this worker still works on its jobs. Bounded by the concurrency of its lanes.
UPDATE queue.pgqueuer
SET heartbeat = now()
WHERE queue_manager_id = :worker_id AND status = 'picked'
RETURNING id;

-- name: get_job^
-- One job by its id.
SELECT
    job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
    max_attempts, error, parent_id, queued_at, started_at, finished_at
FROM jobs
WHERE job_id = :job_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid);

-- name: list_jobs
-- Page through all jobs, newest first.
SELECT
    job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
    max_attempts, error, parent_id, queued_at, started_at, finished_at
FROM jobs
WHERE  job_id < :before AND job_id >= :since
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_queued_jobs
-- Page through waiting jobs, newest first.
SELECT
    job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
    max_attempts, error, parent_id, queued_at, started_at, finished_at
FROM jobs
WHERE finished_at IS NULL AND status = 'queued' AND job_id < :before AND job_id >= :since
    AND (:kind::text IS NULL OR kind = :kind::text)
    AND (:lane::text IS NULL OR lane = :lane::text)
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_running_jobs
-- Page through running jobs, newest first; they are those picked in the queue.
WITH picked AS MATERIALIZED (
    SELECT convert_from(payload, 'UTF8')::jsonb AS entry
    FROM queue.pgqueuer
    WHERE status = 'picked'
)
SELECT
    job.job_id, job.kind, job.lane, job.status, job.progress_done, job.progress_total,
    job.progress_unit, job.attempts, job.max_attempts, job.error, job.parent_id, job.queued_at,
    job.started_at, job.finished_at
FROM picked
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
        max_attempts, error, parent_id, queued_at, started_at, finished_at
    FROM jobs
    WHERE org_id = current_org_id() AND job_id = (picked.entry ->> 'job_id')::uuid
        AND status = 'running' AND job_id < :before AND job_id >= :since
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    LIMIT 1
) AS job
WHERE (picked.entry ->> 'org_id')::uuid = current_org_id()
ORDER BY job.job_id DESC
LIMIT :limit;

-- name: list_ended_jobs
-- Page through jobs that ended in one way, newest first.
SELECT
    job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
    max_attempts, error, parent_id, queued_at, started_at, finished_at
FROM jobs
WHERE ended_as = :status AND job_id < :before AND job_id >= :since
    AND (:kind::text IS NULL OR kind = :kind::text)
    AND (:lane::text IS NULL OR lane = :lane::text)
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_jobs_by_kind
-- Page through the jobs of one kind, newest first: the newest in each lane, merged.
SELECT
    job.job_id, job.kind, job.lane, job.status, job.progress_done, job.progress_total,
    job.progress_unit, job.attempts, job.max_attempts, job.error, job.parent_id, job.queued_at,
    job.started_at, job.finished_at
FROM unnest(:lanes::text[]) AS wanted (lane)
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
        max_attempts, error, parent_id, queued_at, started_at, finished_at
    FROM jobs
    WHERE jobs.lane = wanted.lane AND kind = :kind AND job_id < :before AND job_id >= :since
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    ORDER BY job_id DESC
    LIMIT :limit
) AS job
ORDER BY job.job_id DESC
LIMIT :limit;

-- name: list_jobs_by_lane
-- Page through the jobs of one lane, newest first: the newest of each kind, merged.
WITH RECURSIVE kinds AS (
    (SELECT kind FROM jobs WHERE lane = :lane ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (
        SELECT kind FROM jobs WHERE lane = :lane AND kind > kinds.kind ORDER BY kind LIMIT 1
    )
    FROM kinds
    WHERE kinds.kind IS NOT NULL
)
SELECT
    job.job_id, job.kind, job.lane, job.status, job.progress_done, job.progress_total,
    job.progress_unit, job.attempts, job.max_attempts, job.error, job.parent_id, job.queued_at,
    job.started_at, job.finished_at
FROM kinds
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, progress_done, progress_total, progress_unit, attempts,
        max_attempts, error, parent_id, queued_at, started_at, finished_at
    FROM jobs
    WHERE lane = :lane AND jobs.kind = kinds.kind AND job_id < :before AND job_id >= :since
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    ORDER BY job_id DESC
    LIMIT :limit
) AS job
ORDER BY job.job_id DESC
LIMIT :limit;

-- name: progress_of^
-- Roll up the children of a job: how many in which state, and how far they have come.
SELECT
    count(*) FILTER (WHERE status = 'queued') AS queued,
    count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    coalesce(sum(progress_done), 0)::bigint AS done,
    coalesce(sum(progress_total), 0)::bigint AS total
FROM jobs
WHERE parent_id = :parent_id;
