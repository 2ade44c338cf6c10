-- A queue of our own: fair between organizations, with its rows under row-level security.
--
-- squawk-ignore-file ban-drop-function, ban-drop-table, ban-drop-type, ban-drop-constraint, adding-field-with-default, constraint-missing-not-valid, require-concurrent-index-creation, require-concurrent-index-deletion
-- The table of jobs is rewritten and the queue replaced while nobody works: the upgrade waits for
-- workers to be stopped (docs/operations.md).

-- The row in `jobs` is the record of a job; the row in `queue.entries` exists while the job waits
-- or runs. Whoever changes both locks the entry first, so nobody can deadlock.

CREATE TABLE queue.entries (
    org_id uuid NOT NULL,
    job_id uuid NOT NULL,
    lane text NOT NULL,
    kind text NOT NULL,
    group_id uuid NOT NULL,
    priority integer NOT NULL,
    rank bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'delayed', 'running')),
    due_at timestamptz NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    cancel_requested boolean NOT NULL DEFAULT false,
    worker_id uuid,
    heartbeat timestamptz,
    PRIMARY KEY (org_id, job_id),
    CONSTRAINT running_entry_has_a_worker
        CHECK ((state = 'running') = (worker_id IS NOT NULL AND heartbeat IS NOT NULL))
) WITH (
    -- Rows come and go by the thousand: vacuum early and leave room on the page.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500,
    autovacuum_vacuum_cost_limit = 10000, autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE queue.entries IS 'Jobs that wait or run.';
COMMENT ON COLUMN queue.entries.group_id IS
    'Jobs of one group (a source) take turns with those of other groups of the organization.';
COMMENT ON COLUMN queue.entries.rank IS
    'Turn within organization, lane and priority: the n-th of one group ranks with the n-th of another.';
COMMENT ON COLUMN queue.entries.due_at IS 'Since when the job may start, or from when on.';
COMMENT ON COLUMN queue.entries.blocked IS 'Waits until a running job of the same dedupe key ends.';

CREATE INDEX entries_waiting ON queue.entries (lane, org_id, priority DESC, rank, job_id)
    WHERE state = 'waiting';
CREATE INDEX entries_of_group ON queue.entries (lane, org_id, group_id, priority, rank)
    WHERE state = 'waiting';
CREATE INDEX entries_delayed ON queue.entries (lane, due_at) WHERE state = 'delayed';
CREATE INDEX entries_running ON queue.entries (worker_id) WHERE state = 'running';
SELECT protect_tenant_table('queue.entries');
-- A worker serves every organization.
CREATE POLICY worker_sees_all ON queue.entries TO muniment_worker USING (true) WITH CHECK (true);

CREATE TABLE queue.paused_lanes (
    lane text NOT NULL PRIMARY KEY,
    paused_at timestamptz NOT NULL DEFAULT now(),
    paused_by text NOT NULL
);
COMMENT ON TABLE queue.paused_lanes IS 'Lanes that start nothing until an operator resumes them.';
REVOKE INSERT, UPDATE, DELETE ON queue.paused_lanes FROM muniment_app;

CREATE TABLE queue.watched (
    job_id uuid NOT NULL,
    watcher uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (job_id, watcher)
);
COMMENT ON TABLE queue.watched IS 'Jobs whose changes somebody listens for; only these are announced.';
CREATE INDEX watched_expired ON queue.watched (expires_at);

CREATE TABLE queue.upkeep (
    name text NOT NULL PRIMARY KEY,
    ran_at timestamptz NOT NULL
);
COMMENT ON TABLE queue.upkeep IS 'When recurring work on the installation itself was last begun.';
REVOKE ALL ON queue.upkeep FROM muniment_app;
GRANT SELECT, INSERT, UPDATE ON queue.upkeep TO muniment_worker;

-- Wakes the workers of the lanes that got work, once per lane and transaction.
CREATE TRIGGER announce_work AFTER INSERT ON queue.entries
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION queue.announce_work();
CREATE OR REPLACE FUNCTION queue.announce_work() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('muniment_jobs', lanes.lane)
    FROM (SELECT DISTINCT lane FROM inserted) AS lanes;
    RETURN NULL;
END
$$;

CREATE FUNCTION queue.next_rank(
    of_lane text, of_org uuid, of_group uuid, of_priority integer
) RETURNS bigint
    LANGUAGE sql STABLE
    RETURN greatest(
        (
            SELECT entry.rank + 1
            FROM queue.entries AS entry
            WHERE entry.lane = of_lane AND entry.org_id = of_org AND entry.group_id = of_group
                AND entry.priority = of_priority AND entry.state = 'waiting'
            ORDER BY entry.rank DESC
            LIMIT 1
        ),
        (
            SELECT entry.rank
            FROM queue.entries AS entry
            WHERE entry.lane = of_lane AND entry.org_id = of_org
                AND entry.priority = of_priority AND entry.state = 'waiting'
            ORDER BY entry.rank
            LIMIT 1
        ),
        1
    );
COMMENT ON FUNCTION queue.next_rank(text, uuid, uuid, integer) IS
    'The turn of a group''s next job: after its last that waits, and not before whose turn it is (start-time fair queueing).';

-- The tracked row. The dedupe key now stays with the job, and two keys that are read off it say
-- that of equal jobs one waits and one is under way (running, or between two attempts). Both are
-- NULL for jobs without a key, so that starting one still touches no index.
ALTER TABLE jobs DROP CONSTRAINT only_a_queued_job_has_a_dedupe_key;
DROP INDEX job_is_queued_once;
ALTER TABLE jobs
    ADD COLUMN queued_key text GENERATED ALWAYS AS
        (CASE WHEN status = 'queued' AND started_at IS NULL THEN dedupe_key END) STORED,
    ADD COLUMN running_key text GENERATED ALWAYS AS
        (CASE WHEN finished_at IS NULL AND started_at IS NOT NULL THEN dedupe_key END) STORED,
    ADD COLUMN group_id uuid,
    ADD COLUMN progress_rate double precision,
    ADD COLUMN trace text,
    ADD COLUMN cancel_requested_at timestamptz,
    DROP CONSTRAINT jobs_lane_check,
    ADD CONSTRAINT jobs_lane_check CHECK (lane IN ('fast', 'convert', 'embed', 'reconcile'));
CREATE UNIQUE INDEX job_waits_once ON jobs (org_id, kind, queued_key)
    WHERE queued_key IS NOT NULL;
CREATE UNIQUE INDEX job_runs_once ON jobs (org_id, kind, running_key)
    WHERE running_key IS NOT NULL;
COMMENT ON COLUMN jobs.dedupe_key IS 'Of equal keys one job waits and one is under way.';
COMMENT ON COLUMN jobs.group_id IS 'The source that the job is about; groups take turns.';
COMMENT ON COLUMN jobs.progress_rate IS 'Units of progress per second, lately.';
COMMENT ON COLUMN jobs.trace IS 'W3C traceparent of whoever enqueued the job.';

-- What waits and runs moves over from the table of PgQueuer, which goes. Whoever migrates belongs to
-- no organization and would see none of it.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
ALTER TABLE queue.entries NO FORCE ROW LEVEL SECURITY;
INSERT INTO queue.entries (
    org_id, job_id, lane, kind, group_id, priority, rank, state, due_at, worker_id, heartbeat
)
SELECT
    job.org_id, job.job_id, job.lane, job.kind, job.org_id, job.priority, old.id,
    CASE WHEN old.status = 'picked' THEN 'running' WHEN old.execute_after > now() THEN 'delayed'
        ELSE 'waiting' END,
    old.execute_after,
    CASE WHEN old.status = 'picked' THEN old.queue_manager_id END,
    CASE WHEN old.status = 'picked' THEN old.heartbeat END
FROM queue.pgqueuer AS old
JOIN jobs AS job ON job.org_id = (convert_from(old.payload, 'UTF8')::jsonb ->> 'org_id')::uuid
    AND job.job_id = (convert_from(old.payload, 'UTF8')::jsonb ->> 'job_id')::uuid
WHERE job.status IN ('queued', 'running');
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE queue.entries FORCE ROW LEVEL SECURITY;

DROP FUNCTION start_jobs(uuid, uuid[], uuid[]);
DROP FUNCTION put_back_claims(bigint[], uuid[], uuid[]);
DROP FUNCTION finish_jobs(
    uuid, bigint[], uuid[], uuid[], text[], jsonb[], bigint[], bigint[], text[]
);
DROP FUNCTION requeue_jobs(
    uuid, bigint[], uuid[], uuid[], jsonb[], interval[], integer[]
);
DROP FUNCTION record_progress(uuid, uuid[], uuid[], bigint[], bigint[], text[]);
DROP FUNCTION take_over_jobs(uuid[], interval);
DROP TABLE queue.pgqueuer;
DROP TABLE queue.pgqueuer_log;
DROP FUNCTION queue.keep_no_log();
DROP TYPE queue.pgqueuer_status;
