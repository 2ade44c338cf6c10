-- name: put_schedule^
-- Create a schedule, or change the one of that name.
INSERT INTO job_schedules AS schedule (
    org_id, schedule_id, workspace_id, name, kind, payload, group_id, cron, timezone, next_at
)
VALUES (
    current_org_id(), :schedule_id, :workspace_id, :name, :kind, :payload, :group_id, :cron,
    :timezone, :next_at
)
ON CONFLICT ON CONSTRAINT schedule_name_is_unique DO UPDATE
SET kind = excluded.kind, payload = excluded.payload, group_id = excluded.group_id,
    cron = excluded.cron, timezone = excluded.timezone, enabled = true,
    next_at = excluded.next_at, workspace_id = excluded.workspace_id
RETURNING schedule_id, name, kind, cron, timezone, enabled, next_at, last_at, last_job_id;

-- name: list_schedules
-- Page through the schedules of the organization by their ids.
SELECT schedule_id, name, kind, cron, timezone, enabled, next_at, last_at, last_job_id
FROM job_schedules
WHERE org_id = current_org_id() AND schedule_id > :after
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
ORDER BY schedule_id
LIMIT :limit;

-- name: get_schedule^
-- One schedule, held until commit.
SELECT schedule_id, name, kind, cron, timezone, enabled, next_at, last_at, last_job_id
FROM job_schedules
WHERE org_id = current_org_id() AND schedule_id = :schedule_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
FOR UPDATE;

-- name: change_schedule^
-- Set when a schedule comes due, and whether it does.
UPDATE job_schedules
SET cron = :cron, timezone = :timezone, enabled = :enabled, next_at = :next_at
WHERE org_id = current_org_id() AND schedule_id = :schedule_id
RETURNING schedule_id, name, kind, cron, timezone, enabled, next_at, last_at, last_job_id;

-- name: remove_schedule$
-- Delete a schedule; jobs that it has enqueued stay.
DELETE FROM job_schedules
WHERE org_id = current_org_id() AND schedule_id = :schedule_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
RETURNING name;

-- name: announce_schedules$
-- Wake the workers at commit, so that they look when the next schedule is due.
SELECT pg_notify('muniment_jobs', 'schedules');

-- name: due_schedules
-- The schedules that are due next, of all organizations, and how long they still wait.
SELECT org_id, schedule_id, wait FROM due_schedules(:most::integer) LIMIT :most::integer;

-- name: take_due_schedule^
-- Hold a schedule that is due, unless another worker does or has dealt with it.
SELECT schedule_id, workspace_id, name, kind, payload, group_id, cron, timezone
FROM job_schedules
WHERE org_id = current_org_id() AND schedule_id = :schedule_id
    AND enabled AND next_at <= now()
FOR UPDATE SKIP LOCKED;

-- name: schedule_ran!
-- Note the job of a schedule, and when the next is due.
UPDATE job_schedules
SET last_at = CASE WHEN :job_id::uuid IS NULL THEN last_at ELSE now() END,
    last_job_id = coalesce(:job_id::uuid, last_job_id), next_at = :next_at
WHERE org_id = current_org_id() AND schedule_id = :schedule_id;
