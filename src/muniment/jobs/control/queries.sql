-- name: cancel_jobs^
-- End a job and its descendants that wait, and ask those that run to stop.
SELECT ended, asked FROM cancel_jobs(:job_id::uuid, :workspace_id::uuid);

-- name: retry_job$
-- Queue a job that failed or was cancelled, as if it were new.
SELECT retry_job(:job_id::uuid, :workspace_id::uuid);

-- name: workspace_of_job^
-- Tell to which workspace a job belongs.
SELECT workspace_id
FROM jobs
WHERE job_id = :job_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid);

-- name: statistics
-- Figures of the jobs of a span of time, together (no kind) and by kind. Bounded by the kinds there are.
-- Percentiles are times of jobs that happened (percentile_disc). Sorting is what takes the time, so
-- it is whole numbers that are sorted, which takes half as long as percentile_cont, and waiting has
-- no percentiles here (the metric muniment_job_wait_seconds does).
WITH ended AS (
    SELECT
        kind,
        count(*) AS ended,
        count(*) FILTER (WHERE ended_as = 'failed') AS failed,
        count(*) FILTER (WHERE ended_as = 'cancelled') AS cancelled,
        avg(ran_us)::double precision AS ran_mean,
        percentile_disc(ARRAY[0.5, 0.95, 0.99, 1]) WITHIN GROUP (ORDER BY ran_us) AS ran,
        avg(waited_us)::double precision AS waited_mean,
        max(waited_us) AS waited_max
    FROM jobs
    WHERE finished_at >= :since AND finished_at < :until
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    GROUP BY ROLLUP (kind)
), unfinished AS (
    SELECT
        kind,
        count(*) FILTER (WHERE status = 'queued') AS queued,
        count(*) FILTER (WHERE status = 'running') AS running
    FROM jobs
    WHERE finished_at IS NULL
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    GROUP BY ROLLUP (kind)
)
SELECT
    nullif(kind, '') AS kind,
    coalesce(queued, 0) AS queued, coalesce(running, 0) AS running,
    coalesce(ended - failed - cancelled, 0) AS succeeded, coalesce(failed, 0) AS failed,
    coalesce(cancelled, 0) AS cancelled,
    ran_mean, ran, waited_mean, waited_max
FROM (SELECT coalesce(kind, '') AS kind, queued, running FROM unfinished) AS now
FULL JOIN (
    SELECT coalesce(kind, '') AS kind, ended, failed, cancelled, ran_mean, ran, waited_mean,
        waited_max
    FROM ended
) AS past USING (kind)
ORDER BY kind
LIMIT 1000;

-- name: timeseries
-- How many jobs were enqueued and ended in each bucket of a span of time, and how long they took.
WITH buckets AS (
    SELECT
        :since::timestamptz + make_interval(secs => number * :seconds::double precision) AS at,
        :since::timestamptz
            + make_interval(secs => (number + 1) * :seconds::double precision) AS until
    FROM generate_series(0, :buckets::integer - 1) AS number
), ended AS (
    SELECT
        date_bin(
            make_interval(secs => :seconds::double precision), finished_at, :since::timestamptz
        ) AS at,
        count(*) FILTER (WHERE ended_as = 'succeeded') AS succeeded,
        count(*) FILTER (WHERE ended_as = 'failed') AS failed,
        count(*) FILTER (WHERE ended_as = 'cancelled') AS cancelled,
        avg(ran_us)::double precision AS ran_mean,
        percentile_disc(0.95) WITHIN GROUP (ORDER BY ran_us) AS ran_p95
    FROM jobs
    WHERE finished_at >= :since::timestamptz AND finished_at < :until::timestamptz
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
    GROUP BY 1
)
SELECT
    buckets.at, enqueued.jobs AS enqueued,
    coalesce(ended.succeeded, 0) AS succeeded, coalesce(ended.failed, 0) AS failed,
    coalesce(ended.cancelled, 0) AS cancelled, ended.ran_mean, ended.ran_p95
FROM buckets
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs
    FROM jobs
    WHERE job_id >= first_id_at(buckets.at) AND job_id < first_id_at(buckets.until)
        AND (:kind::text IS NULL OR kind = :kind::text)
        AND (:lane::text IS NULL OR lane = :lane::text)
        AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
) AS enqueued
LEFT JOIN ended USING (at)
ORDER BY buckets.at
LIMIT :buckets::integer;

-- name: lanes
-- How each lane stands, of all organizations, and how many workers serve it. Bounded by the lanes.
WITH serving AS (
    SELECT activity.application_name
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.objsubid = 2 AND lock.granted
        AND lock.classid = worker_lock_class()::oid
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT
    wanted.lane,
    count(*) FILTER (WHERE entry.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE entry.state = 'delayed') AS delayed,
    count(*) FILTER (WHERE entry.state = 'running') AS running,
    extract(epoch FROM now() - min(entry.due_at) FILTER (WHERE entry.state = 'waiting'))
        ::double precision AS oldest_seconds,
    min(paused.paused_at) AS paused_at,
    min(paused.paused_by) AS paused_by,
    (
        SELECT count(*) FROM serving
        WHERE wanted.lane = ANY (string_to_array(serving.application_name, ' '))
    ) AS workers
FROM unnest(:lanes::text[]) AS wanted (lane)
LEFT JOIN queue.entries AS entry ON entry.lane = wanted.lane
LEFT JOIN queue.paused_lanes AS paused ON paused.lane = wanted.lane
GROUP BY wanted.lane
LIMIT 100;

-- name: pause_lane!
-- Let a lane start nothing more; whoever paused it first remains on record.
INSERT INTO queue.paused_lanes (lane, paused_by) VALUES (:lane, :paused_by)
ON CONFLICT (lane) DO NOTHING;

-- name: resume_lane!
-- Let a lane start jobs again, and wake its workers when this is committed.
WITH resumed AS (
    DELETE FROM queue.paused_lanes WHERE lane = :lane RETURNING lane
)
SELECT pg_notify('muniment_jobs', lane) FROM resumed;
