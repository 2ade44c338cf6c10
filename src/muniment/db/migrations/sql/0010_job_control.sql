-- Cancelling and retrying jobs, and what their statistics are read from.
--
-- squawk-ignore-file adding-field-with-default, require-concurrent-index-creation, require-concurrent-index-deletion
-- The table is rewritten while nobody works, see 0009.

-- How long an ended job ran and had waited. Neither changes before the job ends, so starting one
-- still touches no index; see 0002.
ALTER TABLE jobs
    ADD COLUMN ran_us bigint GENERATED ALWAYS AS (
        CASE WHEN finished_at IS NOT NULL AND started_at IS NOT NULL
            THEN greatest(0, extract(epoch FROM finished_at - started_at) * 1000000)::bigint END
    ) STORED,
    ADD COLUMN waited_us bigint GENERATED ALWAYS AS (
        CASE WHEN finished_at IS NOT NULL AND started_at IS NOT NULL
            THEN greatest(
                0, extract(epoch FROM started_at - coalesce(run_after, queued_at)) * 1000000
            )::bigint END
    ) STORED;
COMMENT ON COLUMN jobs.ran_us IS 'Microseconds that the last attempt of an ended job took.';
COMMENT ON COLUMN jobs.waited_us IS
    'Microseconds from when the last attempt of an ended job was due until it started.';

-- Statistics of a span of time read this index and nothing else, grouped by kind as it is.
CREATE INDEX jobs_ended_by_kind ON jobs (org_id, kind, finished_at)
    INCLUDE (lane, ended_as, ran_us, waited_us, workspace_id)
    WHERE finished_at IS NOT NULL;

-- Children are listed newest first.
DROP INDEX jobs_by_parent;
CREATE INDEX jobs_by_parent ON jobs (org_id, parent_id, job_id) WHERE parent_id IS NOT NULL;

CREATE FUNCTION cancel_jobs(wanted uuid, of_workspace uuid, OUT ended bigint, OUT asked bigint)
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
    AS $$
DECLARE
    family uuid[];
    ended_ids uuid[];
    asked_ids uuid[];
    parents uuid[];
BEGIN
    WITH RECURSIVE family AS (
        SELECT job.job_id, 0 AS depth
        FROM jobs AS job
        WHERE job.org_id = current_org_id() AND job.job_id = wanted
            AND (of_workspace IS NULL OR job.workspace_id = of_workspace)
        UNION ALL
        SELECT child.job_id, parent.depth + 1
        FROM family AS parent
        JOIN jobs AS child ON child.org_id = current_org_id() AND child.parent_id = parent.job_id
        WHERE parent.depth < 16 AND (of_workspace IS NULL OR child.workspace_id = of_workspace)
    )
    SELECT array_agg(member.job_id) INTO family FROM family AS member;

    -- The entry before the tracked row, and entries in one order, as everybody does.
    PERFORM FROM queue.entries AS entry
    WHERE entry.org_id = current_org_id() AND entry.job_id = ANY (family)
    ORDER BY entry.job_id
    FOR UPDATE;
    DELETE FROM queue.entries AS entry
    WHERE entry.org_id = current_org_id() AND entry.job_id = ANY (family)
        AND entry.state <> 'running';
    UPDATE queue.entries AS entry
    SET cancel_requested = true
    WHERE entry.org_id = current_org_id() AND entry.job_id = ANY (family)
        AND entry.state = 'running' AND NOT entry.cancel_requested;
    WITH changed AS (
        UPDATE jobs AS job
        SET status = CASE job.status WHEN 'queued' THEN 'cancelled' ELSE job.status END,
            finished_at = CASE job.status WHEN 'queued' THEN clock_timestamp() END,
            cancel_requested_at = coalesce(job.cancel_requested_at, clock_timestamp())
        WHERE job.org_id = current_org_id() AND job.job_id = ANY (family)
            AND job.finished_at IS NULL
        RETURNING job.job_id, job.parent_id, job.status
    )
    SELECT
        array_agg(changed.job_id) FILTER (WHERE changed.status = 'cancelled'),
        array_agg(changed.job_id) FILTER (WHERE changed.status = 'running'),
        array_agg(DISTINCT changed.parent_id)
    INTO ended_ids, asked_ids, parents
    FROM changed;
    ended := coalesce(cardinality(ended_ids), 0);
    asked := coalesce(cardinality(asked_ids), 0);
    -- Whoever asks again is heard again: their worker may have been away.
    PERFORM pg_notify('muniment_job_control', running.job_id::text)
    FROM unnest(asked_ids) AS running (job_id);
    PERFORM queue.announce_changes(ended_ids || asked_ids, parents);
END
$$;
COMMENT ON FUNCTION cancel_jobs(uuid, uuid) IS
    'Ends a job and its descendants that wait, and asks those that run to stop; tells how many.';

CREATE FUNCTION retry_job(wanted uuid, of_workspace uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = public, pg_temp
    AS $$
DECLARE
    again jobs;
BEGIN
    UPDATE jobs AS job
    SET status = 'queued', attempts = 0, error = NULL, progress_done = 0, progress_total = NULL,
        progress_unit = NULL, progress_rate = NULL, worker_id = NULL, started_at = NULL,
        deadline_at = NULL, finished_at = NULL, cancel_requested_at = NULL,
        run_after = clock_timestamp()
    WHERE job.org_id = current_org_id() AND job.job_id = wanted
        AND (of_workspace IS NULL OR job.workspace_id = of_workspace)
        AND job.status IN ('failed', 'cancelled')
    RETURNING job.* INTO again;
    IF again.job_id IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO queue.entries (
        org_id, job_id, lane, kind, group_id, priority, rank, state, due_at
    )
    SELECT again.org_id, again.job_id, again.lane, again.kind, turn.group_id, again.priority,
        queue.next_rank(again.lane, again.org_id, turn.group_id, again.priority), 'waiting',
        again.run_after
    FROM (SELECT coalesce(again.group_id, again.org_id) AS group_id) AS turn;
    PERFORM queue.announce_changes(ARRAY[again.job_id], ARRAY[again.parent_id]);
    RETURN true;
END
$$;
COMMENT ON FUNCTION retry_job(uuid, uuid) IS
    'Queues a job that failed or was cancelled, as if it were new; tells whether there was one.';
