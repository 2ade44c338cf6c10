-- name: watch_jobs!
-- Have changes of these jobs announced to this process, for as long as the lease runs.
INSERT INTO queue.watched (job_id, watcher, expires_at)
SELECT job_id, :watcher::uuid, now() + :lease::interval
FROM unnest(:job_ids::uuid[]) AS job_id
ON CONFLICT (job_id, watcher) DO UPDATE SET expires_at = excluded.expires_at;

-- name: stop_watching!
-- Have changes of these jobs announced to this process no more.
DELETE FROM queue.watched WHERE watcher = :watcher AND job_id = ANY (:job_ids::uuid[]);

-- name: hold_job$
-- Wait for whoever is changing the job and may not have seen that it is watched.
SELECT 1 FROM jobs WHERE job_id = :job_id FOR SHARE;
