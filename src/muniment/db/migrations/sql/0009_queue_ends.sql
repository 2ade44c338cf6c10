-- How jobs end, go back and are taken over: part of revision 0009. Only workers may run these.

CREATE FUNCTION finish_jobs(
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
    ), removed AS (
        DELETE FROM queue.entries AS entry
        USING ended
        WHERE entry.org_id = ended.org_id AND entry.job_id = ended.job_id
            AND entry.worker_id = finish_jobs.worker
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
COMMENT ON FUNCTION finish_jobs(
    uuid, uuid[], uuid[], text[], jsonb[], bigint[], bigint[], text[], double precision[]
) IS 'Ends jobs that this worker still holds and returns their ids.';

CREATE FUNCTION unblock_jobs(org_ids uuid[], ended uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    lanes text[];
BEGIN
    WITH freed AS (
        UPDATE queue.entries AS entry
        SET due_at = now()
        FROM jobs AS job
        JOIN jobs AS next ON next.org_id = job.org_id AND next.kind = job.kind
            AND next.queued_key = job.dedupe_key
        WHERE job.org_id = ANY (unblock_jobs.org_ids) AND job.job_id = ANY (unblock_jobs.ended)
            AND entry.org_id = next.org_id AND entry.job_id = next.job_id
            AND entry.state = 'delayed' AND entry.blocked
        RETURNING entry.lane
    )
    SELECT array_agg(DISTINCT freed.lane) INTO lanes FROM freed;
    PERFORM pg_notify('muniment_jobs', each.lane) FROM unnest(lanes) AS each (lane);
END
$$;
COMMENT ON FUNCTION unblock_jobs(uuid[], uuid[]) IS
    'Makes jobs due that waited for an equal one to end.';

CREATE FUNCTION requeue_jobs(
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
    ), freed AS (
        UPDATE queue.entries AS entry
        SET state = CASE WHEN back.delay > interval '0' THEN 'delayed' ELSE 'waiting' END,
            worker_id = NULL, heartbeat = NULL, due_at = now() + back.delay
        FROM back
        WHERE entry.org_id = back.org_id AND entry.job_id = back.job_id
            AND entry.worker_id = requeue_jobs.worker
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
COMMENT ON FUNCTION requeue_jobs(uuid, uuid[], uuid[], jsonb[], interval[], integer[]) IS
    'Queues jobs that this worker still holds once more; a refund of 1 does not count the attempt.';

CREATE FUNCTION cancel_requeued_jobs(org_ids uuid[], job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    WITH removed AS (
        DELETE FROM queue.entries AS entry
        WHERE entry.org_id = ANY (cancel_requeued_jobs.org_ids)
            AND entry.job_id = ANY (cancel_requeued_jobs.job_ids)
            AND entry.cancel_requested AND entry.state <> 'running'
        RETURNING entry.org_id, entry.job_id
    )
    UPDATE jobs AS job
    SET status = 'cancelled', finished_at = clock_timestamp()
    FROM removed
    WHERE job.org_id = removed.org_id AND job.job_id = removed.job_id AND job.status = 'queued';
END
$$;
COMMENT ON FUNCTION cancel_requeued_jobs(uuid[], uuid[]) IS
    'Ends jobs that were to be cancelled when their worker gave them back or died.';

CREATE FUNCTION record_progress(
    worker uuid, org_ids uuid[], job_ids uuid[], done bigint[], totals bigint[], units text[],
    rates double precision[]
)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    WITH seen AS (
        SELECT reported.*
        FROM unnest(
            record_progress.org_ids, record_progress.job_ids, record_progress.done,
            record_progress.totals, record_progress.units, record_progress.rates
        ) AS reported (org_id, job_id, done, total, unit, rate)
        JOIN jobs AS job USING (org_id, job_id)
        WHERE job.status = 'running' AND job.worker_id = record_progress.worker
        -- A job that commits a step at this moment holds its row. Waiting for it would hold up
        -- the steps of all the others; its next report comes.
        FOR NO KEY UPDATE OF job SKIP LOCKED
    )
    UPDATE jobs AS job
    SET progress_done = seen.done, progress_total = seen.total, progress_unit = seen.unit,
        progress_rate = seen.rate
    FROM seen
    WHERE job.org_id = seen.org_id AND job.job_id = seen.job_id;
    PERFORM queue.announce_changes(record_progress.job_ids, NULL);
END
$$;
COMMENT ON FUNCTION record_progress(
    uuid, uuid[], uuid[], bigint[], bigint[], text[], double precision[]
) IS 'Writes how far running jobs of this worker have come.';

CREATE FUNCTION take_over_jobs(dead uuid[], silence interval)
    RETURNS TABLE (org_id uuid, job_id uuid, kind text, status text, attempts integer)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    orgs uuid[];
    taken uuid[];
    parents uuid[];
BEGIN
    WITH lost AS (
        SELECT entry.org_id, entry.job_id
        FROM queue.entries AS entry
        WHERE entry.state = 'running'
            AND (
                entry.worker_id = ANY (take_over_jobs.dead)
                OR entry.heartbeat < now() - take_over_jobs.silence
            )
        ORDER BY entry.job_id
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE jobs AS job
        SET status = CASE WHEN job.attempts < job.max_attempts THEN 'queued' ELSE 'failed' END,
            finished_at = CASE WHEN job.attempts < job.max_attempts THEN NULL ELSE now() END,
            deadline_at = NULL,
            -- At once the first time. Later apart, so that a job that kills its workers does not
            -- use up the attempts of its neighbours.
            run_after = now() + random() * interval '1 s' * (2 ^ least(job.attempts - 1, 8) - 1),
            error = jsonb_build_object(
                'code', 'worker_lost',
                'detail', format(
                    'The worker died while it ran this job (attempt %s of %s).',
                    job.attempts, job.max_attempts
                )
            )
        FROM lost
        WHERE job.org_id = lost.org_id AND job.job_id = lost.job_id AND job.status = 'running'
        RETURNING job.org_id, job.job_id, job.parent_id, job.status, job.run_after
    ), freed AS (
        UPDATE queue.entries AS entry
        SET state = CASE WHEN ended.run_after > now() THEN 'delayed' ELSE 'waiting' END,
            worker_id = NULL, heartbeat = NULL, due_at = ended.run_after
        FROM ended
        WHERE entry.org_id = ended.org_id AND entry.job_id = ended.job_id
            AND ended.status = 'queued'
        RETURNING entry.org_id, pg_notify('muniment_jobs', entry.lane)
    ), removed AS (
        DELETE FROM queue.entries AS entry
        USING lost
        LEFT JOIN ended USING (org_id, job_id)
        WHERE entry.org_id = lost.org_id AND entry.job_id = lost.job_id
            AND ended.status IS DISTINCT FROM 'queued'
    )
    SELECT array_agg(ended.org_id), array_agg(ended.job_id), array_agg(ended.parent_id)
    INTO orgs, taken, parents
    FROM ended;
    PERFORM cancel_requeued_jobs(orgs, taken);
    PERFORM unblock_jobs(orgs, taken);
    PERFORM queue.announce_changes(taken, parents);
    RETURN QUERY
    SELECT job.org_id, job.job_id, job.kind, job.status, job.attempts
    FROM unnest(orgs, taken) AS each (org_id, job_id)
    JOIN jobs AS job USING (org_id, job_id);
END
$$;
COMMENT ON FUNCTION take_over_jobs(uuid[], interval) IS
    'Queues the jobs of dead workers again, or fails those that have no attempt left.';

DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'finish_jobs(uuid, uuid[], uuid[], text[], jsonb[], bigint[], bigint[], text[], double precision[])',
        'unblock_jobs(uuid[], uuid[])',
        'requeue_jobs(uuid, uuid[], uuid[], jsonb[], interval[], integer[])',
        'cancel_requeued_jobs(uuid[], uuid[])',
        'record_progress(uuid, uuid[], uuid[], bigint[], bigint[], text[], double precision[])',
        'take_over_jobs(uuid[], interval)'
    ]::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_worker', signature);
    END LOOP;
END
$$;
