-- name: insert_jobs
-- Track new jobs and queue them; where one of the same key waits, return that one and hold its start until commit.
WITH fresh AS (
    SELECT job_id, payload, dedupe_key, nth
    FROM unnest(:job_ids::uuid[], :payloads::jsonb[], :dedupe_keys::text[])
        WITH ORDINALITY AS fresh (job_id, payload, dedupe_key, nth)
), tracked AS (
    INSERT INTO jobs AS job (
        org_id, job_id, workspace_id, parent_id, group_id, kind, lane, priority, payload,
        dedupe_key, max_attempts, deadline, run_after, trace
    )
    SELECT
        :org_id::uuid, fresh.job_id, :workspace_id::uuid, :parent_id::uuid, :group_id::uuid, :kind,
        :lane, :priority::integer, fresh.payload, fresh.dedupe_key, :max_attempts::integer,
        :deadline::interval,
        CASE WHEN :run_after::interval > interval '0' THEN now() + :run_after::interval END,
        :trace
    FROM fresh
    ON CONFLICT (org_id, kind, queued_key)
        WHERE queued_key IS NOT NULL
        DO UPDATE SET dedupe_key = excluded.dedupe_key
    RETURNING job.job_id, job.dedupe_key
), queued AS (
    INSERT INTO queue.entries (
        org_id, job_id, lane, kind, group_id, priority, rank, state, due_at
    )
    SELECT
        :org_id::uuid, fresh.job_id, :lane, :kind, coalesce(:group_id::uuid, :org_id::uuid),
        :priority::integer, first.rank + fresh.nth - 1,
        CASE WHEN :run_after::interval > interval '0' THEN 'delayed' ELSE 'waiting' END,
        clock_timestamp() + :run_after::interval
    FROM fresh
    JOIN tracked USING (job_id)
    CROSS JOIN (
        SELECT queue.next_rank(
            :lane, :org_id::uuid, coalesce(:group_id::uuid, :org_id::uuid), :priority::integer
        ) AS rank
        LIMIT 1
    ) AS first
)
SELECT job_id, dedupe_key FROM tracked;

-- name: claim_jobs
-- Take due jobs of a lane and mark them as running, organizations by turns. Bounded by `most`.
SELECT org_id, job_id, workspace_id, parent_id, group_id, kind, payload, attempts, max_attempts,
    deadline, started_at, waited, trace, more
FROM claim_jobs(:worker_id::uuid, :lane, :most::integer, :after::uuid);

-- name: lane_outlook^
-- Whether jobs of a lane wait for their turn, and how long until the next delayed one is due.
SELECT work_waits, next_due FROM lane_outlook(:lane);

-- name: finish_jobs
-- End jobs that this worker holds, in queue and tracked row. Bounded by the jobs it is given.
SELECT finish_jobs(
    :worker_id::uuid, :org_ids::uuid[], :job_ids::uuid[], :statuses::text[], :errors::jsonb[],
    :done::bigint[], :totals::bigint[], :units::text[], :rates::double precision[]
) AS job_id;

-- name: requeue_jobs
-- Queue jobs that this worker holds once more. Bounded by the jobs it is given.
SELECT requeue_jobs(
    :worker_id::uuid, :org_ids::uuid[], :job_ids::uuid[], :errors::jsonb[],
    :delays::interval[], :refunds::integer[]
) AS job_id;

-- name: record_progress$
-- Write how far running jobs have come.
SELECT record_progress(
    :worker_id::uuid, :org_ids::uuid[], :job_ids::uuid[], :done::bigint[], :totals::bigint[],
    :units::text[], :rates::double precision[]
);

-- name: queue_state
-- How much waits and runs, of all organizations, by lane and kind. Bounded by the kinds there are.
SELECT
    coalesce(entry.lane, paused.lane) AS lane, entry.kind,
    count(*) FILTER (WHERE entry.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE entry.state = 'delayed') AS delayed,
    count(*) FILTER (WHERE entry.state = 'running') AS running,
    extract(epoch FROM now() - min(entry.due_at) FILTER (WHERE entry.state = 'waiting'))
        ::double precision AS oldest_seconds,
    bool_or(paused.lane IS NOT NULL) AS paused
FROM queue.entries AS entry
FULL JOIN queue.paused_lanes AS paused ON paused.lane = entry.lane
GROUP BY 1, 2
LIMIT 1000;

-- name: hold_job$
-- Check that this worker still has the job, and keep others from taking it until commit; true if it is to be cancelled.
SELECT cancel_requested_at IS NOT NULL
FROM jobs
WHERE org_id = :org_id AND job_id = :job_id
    AND status = 'running' AND worker_id = :worker_id AND started_at = :started_at
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
SELECT DISTINCT entry.worker_id
FROM queue.entries AS entry
WHERE entry.state = 'running'
    AND entry.worker_id <> :worker_id::uuid
    AND NOT EXISTS (
        SELECT
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND classid = worker_lock_class()::oid
            AND objid = worker_lock_key(entry.worker_id)::oid
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
WITH held AS MATERIALIZED (
    -- In one order, as everybody locks entries.
    SELECT org_id, job_id
    FROM queue.entries
    WHERE worker_id = :worker_id AND state = 'running'
    ORDER BY job_id
    FOR UPDATE
)
UPDATE queue.entries AS entry
SET heartbeat = now()
FROM held
WHERE entry.org_id = held.org_id AND entry.job_id = held.job_id
RETURNING entry.job_id, entry.cancel_requested;

-- name: get_job^
-- One job by its id.
SELECT
    job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
    progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
    cancel_requested_at, finished_at
FROM jobs
WHERE job_id = :job_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid);

-- name: list_jobs
-- Page through all jobs, newest first.
SELECT
    job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
    progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
    cancel_requested_at, finished_at
FROM jobs
WHERE job_id < :before AND job_id >= :since
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_queued_jobs
-- Page through waiting jobs, newest first.
SELECT
    job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
    progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
    cancel_requested_at, finished_at
FROM jobs
WHERE finished_at IS NULL AND status = 'queued' AND job_id < :before AND job_id >= :since
    AND (:kind::text IS NULL OR kind = :kind::text)
    AND (:lane::text IS NULL OR lane = :lane::text)
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_running_jobs
-- Page through running jobs, newest first; they are those that run in the queue.
WITH running AS MATERIALIZED (
    SELECT job_id
    FROM queue.entries
    WHERE state = 'running' AND org_id = current_org_id()
)
SELECT
    job.job_id, job.kind, job.lane, job.status, job.priority, job.progress_done,
    job.progress_total, job.progress_unit, job.progress_rate, job.attempts, job.max_attempts,
    job.error, job.parent_id, job.queued_at, job.run_after, job.started_at,
    job.cancel_requested_at, job.finished_at
FROM running
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
        progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
        cancel_requested_at, finished_at
    FROM jobs
    WHERE org_id = current_org_id() AND job_id = running.job_id
        AND status = 'running' AND job_id < :before AND job_id >= :since
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    LIMIT 1
) AS job
ORDER BY job.job_id DESC
LIMIT :limit;

-- name: list_ended_jobs
-- Page through jobs that ended in one way, newest first.
SELECT
    job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
    progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
    cancel_requested_at, finished_at
FROM jobs
WHERE ended_as = :status AND job_id < :before AND job_id >= :since
    AND (:kind::text IS NULL OR kind = :kind::text)
    AND (:lane::text IS NULL OR lane = :lane::text)
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_jobs_by_parent
-- Page through the children of a job, newest first.
SELECT
    job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
    progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
    cancel_requested_at, finished_at
FROM jobs
WHERE parent_id = :parent_id AND job_id < :before AND job_id >= :since
    AND (:status::text IS NULL OR status = :status::text)
    AND (:kind::text IS NULL OR kind = :kind::text)
    AND (:lane::text IS NULL OR lane = :lane::text)
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY job_id DESC
LIMIT :limit;

-- name: list_jobs_by_kind
-- Page through the jobs of one kind, newest first: the newest in each lane, merged.
SELECT
    job.job_id, job.kind, job.lane, job.status, job.priority, job.progress_done,
    job.progress_total, job.progress_unit, job.progress_rate, job.attempts, job.max_attempts,
    job.error, job.parent_id, job.queued_at, job.run_after, job.started_at,
    job.cancel_requested_at, job.finished_at
FROM unnest(:lanes::text[]) AS wanted (lane)
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
        progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
        cancel_requested_at, finished_at
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
    job.job_id, job.kind, job.lane, job.status, job.priority, job.progress_done,
    job.progress_total, job.progress_unit, job.progress_rate, job.attempts, job.max_attempts,
    job.error, job.parent_id, job.queued_at, job.run_after, job.started_at,
    job.cancel_requested_at, job.finished_at
FROM kinds
CROSS JOIN LATERAL (
    SELECT
        job_id, kind, lane, status, priority, progress_done, progress_total, progress_unit,
        progress_rate, attempts, max_attempts, error, parent_id, queued_at, run_after, started_at,
        cancel_requested_at, finished_at
    FROM jobs
    WHERE lane = :lane AND jobs.kind = kinds.kind AND job_id < :before AND job_id >= :since
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    ORDER BY job_id DESC
    LIMIT :limit
) AS job
ORDER BY job.job_id DESC
LIMIT :limit;

-- name: progress_of^
-- Roll up the children of a job: how many in which state, how far they have come, and how fast.
SELECT
    count(*) FILTER (WHERE status = 'queued') AS queued,
    count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    coalesce(sum(progress_done), 0)::bigint AS done,
    coalesce(sum(progress_total), 0)::bigint AS total,
    count(*) FILTER (WHERE finished_at > now() - :lately::interval)::double precision / greatest(
        1, extract(epoch FROM now() - greatest(now() - :lately::interval, min(started_at)))
    )::double precision AS rate
FROM jobs
WHERE parent_id = :parent_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid);

-- name: take_upkeep$
-- Begin recurring work on the installation if it is due, so that others find it begun.
INSERT INTO queue.upkeep AS upkeep (name, ran_at)
VALUES (:name, now())
ON CONFLICT (name) DO UPDATE SET ran_at = now()
WHERE upkeep.ran_at <= now() - :every::interval
RETURNING 1;

-- name: purge_jobs$
-- Delete ended jobs that are too old or too many, a batch of each organization.
SELECT purge_jobs(
    :succeeded_before::timestamptz, :failed_before::timestamptz, :keep_newest::integer,
    :most::integer
);
