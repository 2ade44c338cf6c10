-- Entries of the queue are locked in one order by everybody: a worker that ended jobs while
-- somebody cancelled the family they belong to could lock them the other way round, and one of
-- the two was refused as a deadlock.

CREATE OR REPLACE FUNCTION finish_jobs(
    worker uuid, org_ids uuid[], job_ids uuid[], statuses text[],
    errors jsonb[], done bigint[], totals bigint[], units text[], rates double precision[]
)
    RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    written uuid[];
    parents uuid[];
    keyed boolean;
BEGIN
    WITH ended AS (
        SELECT *
        FROM unnest(
            finish_jobs.org_ids, finish_jobs.job_ids, finish_jobs.statuses, finish_jobs.errors,
            finish_jobs.done, finish_jobs.totals, finish_jobs.units, finish_jobs.rates
        ) AS ended (org_id, job_id, status, error, done, total, unit, rate)
    ), held AS MATERIALIZED (
        -- In one order, as everybody locks entries: whoever cancels a family of jobs does too.
        SELECT ended.*
        FROM ended
        JOIN queue.entries AS entry USING (org_id, job_id)
        WHERE entry.worker_id = finish_jobs.worker
        ORDER BY entry.job_id
        FOR UPDATE OF entry
    ), removed AS (
        DELETE FROM queue.entries AS entry
        USING held AS ended
        WHERE entry.org_id = ended.org_id AND entry.job_id = ended.job_id
        -- What follows from here needs no join with what was given: planned for few rows, that
        -- would compare each with each.
        RETURNING ended.*
    ), updated AS (
        UPDATE jobs AS job
        SET status = ended.status,
            error = ended.error,
            progress_done = ended.done,
            progress_total = ended.total,
            progress_unit = ended.unit,
            progress_rate = ended.rate,
            finished_at = clock_timestamp()
        FROM removed AS ended
        WHERE job.org_id = ended.org_id AND job.job_id = ended.job_id
        RETURNING job.job_id, job.parent_id, job.dedupe_key
    )
    SELECT array_agg(job_id), array_agg(parent_id), bool_or(dedupe_key IS NOT NULL)
    INTO written, parents, keyed
    FROM updated;
    IF keyed THEN
        PERFORM unblock_jobs(finish_jobs.org_ids, written);
    END IF;
    PERFORM queue.announce_changes(written, parents);
    RETURN QUERY SELECT unnest(written);
END
$$;

CREATE OR REPLACE FUNCTION requeue_jobs(
    worker uuid, org_ids uuid[], job_ids uuid[], errors jsonb[], delays interval[],
    refunds integer[]
)
    RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    written uuid[];
    parents uuid[];
BEGIN
    WITH back AS (
        SELECT *
        FROM unnest(
            requeue_jobs.org_ids, requeue_jobs.job_ids, requeue_jobs.errors,
            requeue_jobs.delays, requeue_jobs.refunds
        ) AS back (org_id, job_id, error, delay, refund)
    ), held AS MATERIALIZED (
        SELECT back.*
        FROM back
        JOIN queue.entries AS entry USING (org_id, job_id)
        WHERE entry.worker_id = requeue_jobs.worker
        ORDER BY entry.job_id
        FOR UPDATE OF entry
    ), freed AS (
        UPDATE queue.entries AS entry
        SET state = CASE WHEN back.delay > interval '0' THEN 'delayed' ELSE 'waiting' END,
            worker_id = NULL, heartbeat = NULL, due_at = now() + back.delay
        FROM held AS back
        WHERE entry.org_id = back.org_id AND entry.job_id = back.job_id
        RETURNING back.*, pg_notify('muniment_jobs', entry.lane)
    ), updated AS (
        UPDATE jobs AS job
        SET status = 'queued',
            attempts = job.attempts - back.refund,
            error = coalesce(back.error, job.error),
            run_after = now() + back.delay,
            deadline_at = NULL
        FROM freed AS back
        WHERE job.org_id = back.org_id AND job.job_id = back.job_id
        RETURNING job.job_id, job.parent_id
    )
    SELECT array_agg(job_id), array_agg(parent_id) INTO written, parents FROM updated;
    PERFORM cancel_requeued_jobs(requeue_jobs.org_ids, written);
    PERFORM queue.announce_changes(written, parents);
    RETURN QUERY SELECT unnest(written);
END
$$;
