-- Recurring jobs.

CREATE TABLE job_schedules (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    schedule_id uuid NOT NULL,
    workspace_id uuid,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    kind text NOT NULL CHECK (kind <> ''),
    payload jsonb NOT NULL,
    group_id uuid,
    cron text NOT NULL CHECK (cron <> '' AND length(cron) <= 200),
    timezone text NOT NULL CHECK (timezone <> ''),
    enabled boolean NOT NULL DEFAULT true,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    last_job_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, schedule_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE,
    CONSTRAINT schedule_name_is_unique UNIQUE (org_id, name)
);
COMMENT ON TABLE job_schedules IS 'Jobs that are enqueued again and again.';
COMMENT ON COLUMN job_schedules.cron IS 'Five fields, as cron understands them, in the timezone.';
COMMENT ON COLUMN job_schedules.next_at IS 'When the next job is due.';
COMMENT ON COLUMN job_schedules.last_at IS 'When a job was last enqueued.';
CREATE INDEX job_schedules_due ON job_schedules (next_at) WHERE enabled;
CREATE INDEX job_schedules_by_workspace ON job_schedules (org_id, workspace_id)
    WHERE workspace_id IS NOT NULL;
SELECT protect_tenant_table('job_schedules');

CREATE FUNCTION due_schedules(most integer)
    RETURNS TABLE (org_id uuid, schedule_id uuid, wait interval)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    BEGIN ATOMIC
    SELECT schedule.org_id, schedule.schedule_id,
        greatest(schedule.next_at - now(), interval '0')
    FROM job_schedules AS schedule
    JOIN organizations AS org ON org.org_id = schedule.org_id
    WHERE schedule.enabled AND org.suspended_at IS NULL
    ORDER BY schedule.next_at
    LIMIT most;
    END;
COMMENT ON FUNCTION due_schedules(integer) IS
    'The schedules that are due next, of all organizations, and how long they still wait.';
ALTER FUNCTION due_schedules(integer) OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION due_schedules(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_schedules(integer) TO muniment_worker;

CREATE FUNCTION first_id_at(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN rpad(lpad(to_hex(ceil(extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
COMMENT ON FUNCTION first_id_at(timestamptz) IS
    'The smallest UUIDv7 of a moment: what was created before it has a smaller id (RFC 9562, 5.7).';

-- How long ended jobs are kept goes by age and by number.
CREATE FUNCTION purge_jobs(
    succeeded_before timestamptz, failed_before timestamptz, keep_newest integer, most integer
)
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    org uuid;
    deleted bigint;
    total bigint := 0;
BEGIN
    FOR org IN SELECT organizations.org_id FROM organizations LOOP
        WITH old AS (
            SELECT ended.job_id
            FROM (
                (
                    SELECT job.job_id
                    FROM jobs AS job
                    WHERE job.org_id = org AND job.ended_as IN ('succeeded', 'cancelled')
                        AND job.job_id < first_id_at(succeeded_before)
                        AND job.finished_at < succeeded_before
                    ORDER BY job.job_id
                    LIMIT most
                )
                UNION
                (
                    SELECT job.job_id
                    FROM jobs AS job
                    WHERE job.org_id = org AND job.ended_as = 'failed'
                        AND job.job_id < first_id_at(failed_before)
                        AND job.finished_at < failed_before
                    ORDER BY job.job_id
                    LIMIT most
                )
                UNION
                (
                    SELECT job.job_id
                    FROM jobs AS job
                    WHERE job.org_id = org AND job.ended_as IS NOT NULL
                        AND job.job_id <= (
                            SELECT newest.job_id
                            FROM jobs AS newest
                            WHERE newest.org_id = org
                            ORDER BY newest.job_id DESC
                            OFFSET keep_newest
                            LIMIT 1
                        )
                    ORDER BY job.job_id
                    LIMIT most
                )
            ) AS ended
            -- A parent goes after its children: with it they would go as well.
            WHERE NOT EXISTS (
                SELECT FROM jobs AS child
                WHERE child.org_id = org AND child.parent_id = ended.job_id
            )
            LIMIT most
        )
        DELETE FROM jobs AS job
        USING old
        WHERE job.org_id = org AND job.job_id = old.job_id;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        total := total + deleted;
    END LOOP;
    DELETE FROM queue.watched WHERE expires_at < now();
    RETURN total;
END
$$;
COMMENT ON FUNCTION purge_jobs(timestamptz, timestamptz, integer, integer) IS
    'Deletes ended jobs that are too old, or too many, up to a number per organization; returns how many.';
ALTER FUNCTION purge_jobs(timestamptz, timestamptz, integer, integer) OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION purge_jobs(timestamptz, timestamptz, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_jobs(timestamptz, timestamptz, integer, integer) TO muniment_worker;

-- Jobs of a suspended organization wait; when it is resumed their workers need to know.
CREATE FUNCTION queue.announce_resumed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('muniment_jobs', waiting.lane)
    FROM (
        SELECT DISTINCT entry.lane FROM queue.entries AS entry WHERE entry.org_id = NEW.org_id
    ) AS waiting;
    PERFORM pg_notify('muniment_jobs', 'schedules');
    RETURN NULL;
END
$$;
CREATE TRIGGER announce_resumed AFTER UPDATE OF suspended_at ON organizations
    FOR EACH ROW WHEN (OLD.suspended_at IS NOT NULL AND NEW.suspended_at IS NULL)
    EXECUTE FUNCTION queue.announce_resumed();
