-- How workers take jobs: part of revision 0009. Only their role may run these.

CREATE FUNCTION queue.announce_changes(job_ids uuid[], parent_ids uuid[]) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    -- Looked up after the change: whoever begins to watch meanwhile locks the job's row to read
    -- it, and so waits for our commit.
    PERFORM pg_notify('muniment_job_events', changed.job_id::text)
    FROM (
        SELECT DISTINCT watched.job_id
        FROM queue.watched
        WHERE watched.job_id = ANY (job_ids || parent_ids)
    ) AS changed;
END
$$;
COMMENT ON FUNCTION queue.announce_changes(uuid[], uuid[]) IS
    'Tells those who watch a job, or its parent, that it has changed; others cost nothing.';

CREATE FUNCTION claim_jobs(worker uuid, wanted_lane text, most integer, after_org uuid)
    RETURNS TABLE (
        org_id uuid, job_id uuid, workspace_id uuid, parent_id uuid, group_id uuid, kind text,
        payload jsonb, attempts integer, max_attempts integer, deadline interval,
        started_at timestamptz, waited interval, trace text, more boolean
    )
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    turns uuid[] := '{}';
    candidate uuid := after_org;
    wrapped boolean := false;
    share integer;
    orgs uuid[];
    jobs_taken uuid[];
    due_since timestamptz[];
    any_left boolean;
    started integer;
BEGIN
    IF EXISTS (SELECT FROM queue.paused_lanes AS paused WHERE paused.lane = wanted_lane) THEN
        RETURN;
    END IF;
    -- A claim that a crash of the server forgets is a job that is still queued, so its commit
    -- need not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM promote_due_jobs(wanted_lane);

    -- Whose turn it is: organizations with waiting jobs, beginning after the one that came last.
    LOOP
        SELECT entry.org_id INTO candidate
        FROM queue.entries AS entry
        WHERE entry.lane = wanted_lane AND entry.state = 'waiting' AND entry.org_id > candidate
        ORDER BY entry.org_id
        LIMIT 1;
        IF candidate IS NULL OR (wrapped AND candidate > after_org) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            candidate := '00000000-0000-0000-0000-000000000000';
            CONTINUE;
        END IF;
        IF NOT EXISTS (
            SELECT FROM organizations AS org
            WHERE org.org_id = candidate AND org.suspended_at IS NOT NULL
        ) THEN
            turns := turns || candidate;
            EXIT WHEN cardinality(turns) >= most;
        END IF;
    END LOOP;
    IF turns = '{}' THEN
        RETURN;
    END IF;

    -- The n-th job of one ranks with the n-th of another.
    share := ceil(most::numeric / cardinality(turns));
    SELECT
        array_agg(picked.org_id ORDER BY picked.nth, picked.turn),
        array_agg(picked.job_id ORDER BY picked.nth, picked.turn),
        array_agg(picked.due_at ORDER BY picked.nth, picked.turn),
        cardinality(turns) >= most OR bool_or(picked.nth >= share)
    INTO orgs, jobs_taken, due_since, any_left
    FROM (
        SELECT turn.org_id, turn.turn, head.job_id, head.due_at,
            row_number() OVER (
                PARTITION BY turn.turn ORDER BY head.priority DESC, head.rank, head.job_id
            ) AS nth
        FROM unnest(turns) WITH ORDINALITY AS turn (org_id, turn)
        CROSS JOIN LATERAL (
            SELECT entry.job_id, entry.due_at, entry.priority, entry.rank
            FROM queue.entries AS entry
            WHERE entry.lane = wanted_lane AND entry.org_id = turn.org_id
                AND entry.state = 'waiting'
            ORDER BY entry.priority DESC, entry.rank, entry.job_id
            LIMIT share
            FOR UPDATE SKIP LOCKED
        ) AS head
        ORDER BY nth, turn.turn
        LIMIT most
    ) AS picked;
    IF orgs IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT claimed.turn, job.org_id, job.job_id
        FROM unnest(orgs, jobs_taken) WITH ORDINALITY AS claimed (org_id, job_id, turn)
        JOIN jobs AS job USING (org_id, job_id)
        WHERE job.status = 'queued'
            AND (
                job.dedupe_key IS NULL
                OR NOT EXISTS (
                    SELECT FROM jobs AS other
                    WHERE other.org_id = job.org_id AND other.kind = job.kind
                        AND other.running_key = job.dedupe_key AND other.job_id <> job.job_id
                )
            )
        -- A row is locked while someone enqueues the same work again: they expect it to start
        -- after they have committed.
        FOR UPDATE OF job SKIP LOCKED
    ), begun AS (
        UPDATE jobs AS job
        SET status = 'running',
            attempts = job.attempts + 1,
            worker_id = claim_jobs.worker,
            started_at = clock_timestamp(),
            deadline_at = clock_timestamp() + job.deadline
        FROM due
        WHERE job.org_id = due.org_id AND job.job_id = due.job_id
        RETURNING due.turn, job.*
    ), marked AS (
        UPDATE queue.entries AS entry
        SET state = 'running', worker_id = claim_jobs.worker, heartbeat = clock_timestamp(),
            blocked = false
        FROM begun
        WHERE entry.org_id = begun.org_id AND entry.job_id = begun.job_id
    )
    SELECT begun.org_id, begun.job_id, begun.workspace_id, begun.parent_id, begun.group_id,
        begun.kind, begun.payload, begun.attempts, begun.max_attempts, begun.deadline,
        begun.started_at, begun.started_at - due_since[begun.turn],
        begun.trace, any_left
    FROM begun
    ORDER BY begun.turn;
    GET DIAGNOSTICS started = ROW_COUNT;
    IF started < cardinality(jobs_taken) THEN
        PERFORM put_back_claims(orgs, jobs_taken);
    END IF;
    PERFORM queue.announce_changes(jobs_taken, NULL);
END
$$;
COMMENT ON FUNCTION claim_jobs(uuid, text, integer, uuid) IS
    'Starts due jobs of a lane, organizations taking turns from the one after the given; `more` tells whether others wait.';

CREATE FUNCTION promote_due_jobs(wanted_lane text) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp
    BEGIN ATOMIC
    WITH due AS (
        SELECT entry.org_id, entry.job_id, entry.group_id, entry.priority,
            row_number() OVER (
                PARTITION BY entry.org_id, entry.group_id, entry.priority ORDER BY entry.due_at
            ) AS nth
        FROM (
            SELECT delayed.org_id, delayed.job_id, delayed.group_id, delayed.priority,
                delayed.due_at
            FROM queue.entries AS delayed
            WHERE delayed.lane = wanted_lane AND delayed.state = 'delayed'
                AND delayed.due_at <= now()
            ORDER BY delayed.due_at
            LIMIT 500
            FOR UPDATE SKIP LOCKED
        ) AS entry
    ), ranked AS (
        SELECT due.org_id, due.job_id, due.nth, queue.next_rank(
            wanted_lane, due.org_id, due.group_id, due.priority
        ) AS base
        FROM due
    )
    UPDATE queue.entries AS entry
    SET state = 'waiting', blocked = false, rank = ranked.base + ranked.nth - 1
    FROM ranked
    WHERE entry.org_id = ranked.org_id AND entry.job_id = ranked.job_id;
    END;
COMMENT ON FUNCTION promote_due_jobs(text) IS 'Lets delayed jobs wait for their turn once they are due.';

CREATE FUNCTION put_back_claims(org_ids uuid[], job_ids uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    DELETE FROM queue.entries AS entry
    USING unnest(put_back_claims.org_ids, put_back_claims.job_ids) AS claimed (org_id, job_id)
    WHERE entry.org_id = claimed.org_id AND entry.job_id = claimed.job_id
        AND entry.state = 'waiting'
        AND NOT EXISTS (
            SELECT FROM jobs AS job
            WHERE job.org_id = entry.org_id AND job.job_id = entry.job_id
                AND job.status = 'queued'
        );
    UPDATE queue.entries AS entry
    SET state = 'delayed', blocked = other.job_id IS NOT NULL,
        -- The end of the other job sets it free; in case that was a moment ago, time does.
        due_at = now() + CASE WHEN other.job_id IS NULL THEN interval '50 ms' ELSE interval '5 s' END
    FROM unnest(put_back_claims.org_ids, put_back_claims.job_ids) AS claimed (org_id, job_id)
    JOIN jobs AS job ON job.org_id = claimed.org_id AND job.job_id = claimed.job_id
    LEFT JOIN jobs AS other ON other.org_id = job.org_id AND other.kind = job.kind
        AND other.running_key = job.dedupe_key AND other.job_id <> job.job_id
    WHERE entry.org_id = claimed.org_id AND entry.job_id = claimed.job_id
        AND entry.state = 'waiting';
END
$$;
COMMENT ON FUNCTION put_back_claims(uuid[], uuid[]) IS
    'Lets claims that could not be started wait, or drops them if nothing is to start.';

CREATE FUNCTION lane_outlook(wanted_lane text, OUT work_waits boolean, OUT next_due interval)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    BEGIN ATOMIC
    SELECT
        NOT EXISTS (SELECT FROM queue.paused_lanes AS paused WHERE paused.lane = wanted_lane)
        AND EXISTS (
            SELECT FROM queue.entries AS entry
            LEFT JOIN organizations AS org ON org.org_id = entry.org_id
            WHERE entry.lane = wanted_lane AND entry.state = 'waiting'
                AND org.suspended_at IS NULL
        ),
        (
            SELECT min(entry.due_at) - now()
            FROM queue.entries AS entry
            WHERE entry.lane = wanted_lane AND entry.state = 'delayed'
        );
    END;
COMMENT ON FUNCTION lane_outlook(text) IS
    'Whether jobs of a lane wait for their turn, and how long until the next delayed one is due.';

DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'claim_jobs(uuid, text, integer, uuid)',
        'promote_due_jobs(text)',
        'put_back_claims(uuid[], uuid[])',
        'lane_outlook(text)'
    ]::regprocedure[] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_worker', signature);
    END LOOP;
END
$$;
