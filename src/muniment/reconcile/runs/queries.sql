-- name: list_runs
-- Runs of a range of ids, newest first, as they stand: one that waits or goes on as its job does.
SELECT
    run.run_id, run.mode, run.kind, run.threshold, run.counts, run.versions, run.job_id,
    run.created_at, coalesce(run.finished_at, job.finished_at) AS finished_at,
    stands.status,
    CASE WHEN stands.status = 'failed'
        THEN coalesce(run.error_code, job.error ->> 'code', 'job_lost')
    END AS error_code,
    coalesce(run.error_detail, job.error ->> 'detail') AS error_detail
FROM reconciliation_runs AS run
LEFT JOIN jobs AS job ON job.org_id = run.org_id AND job.job_id = run.job_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN run.status <> 'pending' THEN run.status
        WHEN job.status IN ('queued', 'running', 'cancelled') THEN job.status
        ELSE 'failed'
    END AS status
) AS stands
WHERE run.org_id = current_org_id() AND run.reconciliation_id = :reconciliation_id
    AND run.run_id < :before
ORDER BY run.run_id DESC
LIMIT :limit;

-- name: get_run^
-- One run with what it decided on the way.
SELECT
    run.run_id, run.mode, run.kind, run.threshold, run.counts, run.versions, run.job_id,
    run.created_at, coalesce(run.finished_at, job.finished_at) AS finished_at,
    stands.status,
    CASE WHEN stands.status = 'failed'
        THEN coalesce(run.error_code, job.error ->> 'code', 'job_lost')
    END AS error_code,
    coalesce(run.error_detail, job.error ->> 'detail') AS error_detail,
    run.compared, run.offsets, run.notes, run.plan
FROM reconciliation_runs AS run
LEFT JOIN jobs AS job ON job.org_id = run.org_id AND job.job_id = run.job_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN run.status <> 'pending' THEN run.status
        WHEN job.status IN ('queued', 'running', 'cancelled') THEN job.status
        ELSE 'failed'
    END AS status
) AS stands
WHERE run.org_id = current_org_id() AND run.reconciliation_id = :reconciliation_id
    AND run.run_id = :run_id;

-- name: datasets_to_compare
-- The datasets of a reconciliation as they stand. Bounded by the three sides.
SELECT
    dataset.side, dataset.dataset_id, dataset.name, dataset.row_count, dataset.notes,
    dataset.columns, dataset.version, dataset.changed_version, dataset.originals_hash,
    dataset.cleaned_hash,
    CASE
        WHEN dataset.status = 'loading'
            AND coalesce(job.status, 'failed') NOT IN ('queued', 'running') THEN 'failed'
        ELSE dataset.status
    END AS status
FROM datasets AS dataset
LEFT JOIN jobs AS job ON job.org_id = dataset.org_id AND job.job_id = dataset.job_id
WHERE dataset.org_id = current_org_id() AND dataset.reconciliation_id = :reconciliation_id
ORDER BY dataset.side;

-- name: last_comparison^
-- The last run that compared records, and what a run of only new ones needs of it.
SELECT run_id, versions, model_hash
FROM reconciliation_runs
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND status = 'succeeded' AND mode <> 'plan'
ORDER BY run_id DESC
LIMIT 1;

-- name: insert_run!
-- Note a run that a job is to do.
INSERT INTO reconciliation_runs (org_id, run_id, reconciliation_id, job_id, mode)
VALUES (current_org_id(), :run_id, :reconciliation_id, :job_id, :mode);

-- name: run_of_job$
-- The run that waits with a job; another one asked for now is the same. One that is to compare
-- only new records compares all, if that is asked for.
UPDATE reconciliation_runs
SET mode = CASE WHEN :mode = 'full' THEN 'full' ELSE mode END
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id AND job_id = :job_id
    AND status = 'pending'
RETURNING run_id;

-- name: run_to_do^
-- What a job is to do; no row when the reconciliation was deleted or the run is done.
SELECT run.run_id, run.mode, reconciliation.rules, reconciliation.rules_version
FROM reconciliation_runs AS run
JOIN reconciliations AS reconciliation
    ON reconciliation.org_id = run.org_id
    AND reconciliation.reconciliation_id = run.reconciliation_id
WHERE run.org_id = current_org_id() AND run.reconciliation_id = :reconciliation_id
    AND run.run_id = :run_id AND run.status = 'pending';

-- name: records_by_row
-- The ids of the records of a dataset in the order of its rows, and which were new or changed
-- since a version.
SELECT row, record_id, changed_version > :version AS new
FROM records
WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND row > :after
ORDER BY row
LIMIT :limit;

-- name: decided_pairs
-- Pairs that people have decided and whose records are there, a page by their ids.
SELECT match_id, left_row, right_row, decision
FROM matches
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND decision IS NOT NULL AND left_row IS NOT NULL AND right_row IS NOT NULL
    AND match_id > :after
ORDER BY match_id
LIMIT :limit;

-- name: earlier_pairs
-- Pairs that the last run found and whose records are there, a page by their ids.
SELECT match_id, left_row, right_row, confidence, stage
FROM matches
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND found <> 'unmatched' AND left_row IS NOT NULL AND right_row IS NOT NULL
    AND match_id > :after
ORDER BY match_id
LIMIT :limit;

-- name: put_matches^
-- Write what a run found of some pairs; returns how many are new and how many changed.
-- Decisions are never touched, and what a person accepted says nothing of what would be found.
WITH given AS (
    SELECT
        item.match_id, item.left_record_id, item.right_record_id, item.left_row, item.right_row,
        item.found, item.confidence, item.stage, item.amount::numeric AS amount,
        item.explanation::jsonb AS explanation, item.alternatives::jsonb AS alternatives
    FROM unnest(
        :match_ids::uuid[], :left_record_ids::uuid[], :right_record_ids::uuid[],
        :left_rows::bigint[], :right_rows::bigint[], :founds::text[],
        :confidences::double precision[], :stages::text[], :amounts::text[],
        :explanations::text[], :alternatives::text[]
    ) AS item (
        match_id, left_record_id, right_record_id, left_row, right_row, found, confidence,
        stage, amount, explanation, alternatives
    )
),
written AS (
    INSERT INTO matches AS known (
        org_id, reconciliation_id, match_id, left_record_id, right_record_id, left_row,
        right_row, left_identifier, right_identifier, found, confidence, stage, amount, currency,
        explanation, alternatives, run_id
    )
    SELECT
        current_org_id(), :reconciliation_id, given.match_id, given.left_record_id,
        given.right_record_id, given.left_row, given.right_row, one.identifier, other.identifier,
        given.found, given.confidence, given.stage, given.amount,
        CASE WHEN given.amount IS NOT NULL THEN coalesce(one.currency, other.currency) END,
        given.explanation, given.alternatives, :run_id
    FROM given
    LEFT JOIN LATERAL (
        SELECT identifier, currency
        FROM records
        WHERE org_id = current_org_id() AND dataset_id = :left_dataset_id
            AND record_id = given.left_record_id
        LIMIT 1
    ) AS one ON true
    LEFT JOIN LATERAL (
        SELECT identifier, currency
        FROM records
        WHERE org_id = current_org_id() AND dataset_id = :right_dataset_id
            AND record_id = given.right_record_id
        LIMIT 1
    ) AS other ON true
    ON CONFLICT ON CONSTRAINT pair_is_matched_once DO UPDATE
    SET
        left_row = excluded.left_row, right_row = excluded.right_row,
        left_identifier = excluded.left_identifier,
        right_identifier = excluded.right_identifier,
        found = CASE WHEN excluded.stage = 'decision' THEN known.found ELSE excluded.found END,
        confidence = CASE
            WHEN excluded.stage = 'decision' THEN known.confidence
            ELSE excluded.confidence
        END,
        stage = CASE WHEN excluded.stage = 'decision' THEN known.stage ELSE excluded.stage END,
        amount = coalesce(excluded.amount, known.amount),
        currency = coalesce(excluded.currency, known.currency),
        explanation = CASE
            WHEN excluded.explanation = '[]' THEN known.explanation
            ELSE excluded.explanation
        END,
        alternatives = CASE
            WHEN excluded.alternatives = '[]' AND excluded.stage = 'decision'
                THEN known.alternatives
            ELSE excluded.alternatives
        END,
        run_id = excluded.run_id,
        version = known.version + (
            excluded.stage <> 'decision'
            AND (known.found, known.confidence, known.stage)
                IS DISTINCT FROM (excluded.found, excluded.confidence, excluded.stage)
        )::integer,
        updated_at = CASE
            WHEN excluded.stage <> 'decision'
                AND (known.found, known.confidence, known.stage)
                    IS DISTINCT FROM (excluded.found, excluded.confidence, excluded.stage)
                THEN now()
            ELSE known.updated_at
        END
    RETURNING (xmax = 0) AS added, updated_at = now() AS changed
)
SELECT
    count(*) FILTER (WHERE added) AS added,
    count(*) FILTER (WHERE changed AND NOT added) AS changed
FROM written;

-- name: remove_matches^
-- Of a page of matches delete those that a run has not found and nobody decided; returns how many,
-- and the last id of the page.
WITH page AS (
    SELECT match_id, decision IS NULL AND run_id IS DISTINCT FROM :run_id::uuid AS unfound
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id > :after
    ORDER BY match_id
    LIMIT :limit
),
gone AS (
    DELETE FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id > :after
        AND match_id <= (SELECT match_id FROM page ORDER BY match_id DESC LIMIT 1)
        AND match_id = ANY(ARRAY(SELECT match_id FROM page WHERE unfound))
    RETURNING match_id
)
SELECT
    (SELECT match_id FROM page ORDER BY match_id DESC LIMIT 1) AS last,
    (SELECT count(*) FROM gone) AS removed;

-- name: unfind_matches!
-- Keep accepted matches that a run has not found: they were accepted while it was under way.
-- Of those that were rejected nothing is known: it was told not to find them.
UPDATE matches
SET found = 'unmatched', updated_at = now()
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND decision = 'accepted' AND run_id IS DISTINCT FROM :run_id::uuid AND found <> 'unmatched'
    AND left_row IS NOT NULL AND right_row IS NOT NULL;

-- name: count_statuses
-- How many matches there are by status. Bounded by the statuses.
SELECT status, count(*) AS count
FROM matches
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND left_row IS NOT NULL AND right_row IS NOT NULL
GROUP BY status;

-- name: holding_pairs
-- Pairs that join records to clusters, and those that hold them apart, a page by their ids.
SELECT match_id, left_record_id, right_record_id, status, confidence
FROM matches
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND status IN ('matched', 'accepted', 'rejected')
    AND left_row IS NOT NULL AND right_row IS NOT NULL AND match_id > :after
ORDER BY match_id
LIMIT :limit;

-- name: clustered_records
-- Records in a cluster that does not bear their own id, a page by their ids.
SELECT record_id, cluster_id
FROM records
WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND cluster_id <> record_id
    AND record_id > :after
ORDER BY record_id
LIMIT :limit;

-- name: records_of_ids
-- Which of some ids, in a range, are records of a dataset whose cluster bears their id.
SELECT record_id
FROM records
WHERE org_id = current_org_id() AND dataset_id = :dataset_id
    AND record_id >= :first AND record_id <= :last AND record_id = ANY(:record_ids::uuid[])
    AND cluster_id = record_id;

-- name: move_records!
-- Put records of a dataset, in a range of ids, into other clusters.
UPDATE records
SET cluster_id = (:cluster_ids::uuid[])[array_position(:record_ids::uuid[], record_id)]
WHERE org_id = current_org_id() AND dataset_id = :dataset_id
    AND record_id >= :first AND record_id <= :last AND record_id = ANY(:record_ids::uuid[]);

-- name: finish_run!
-- Keep what a run decided on the way and what it did.
UPDATE reconciliation_runs
SET status = 'succeeded', rules = :rules, versions = :versions, kind = :kind,
    threshold = :threshold, compared = :compared, offsets = :offsets, notes = :notes,
    counts = :counts, plan = :plan, model_hash = :model_hash, mode = :mode, finished_at = now()
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND run_id = :run_id;

-- name: fail_run!
-- Tell why a run failed; matches are as they were.
UPDATE reconciliation_runs
SET status = 'failed', error_code = :error_code, error_detail = :error_detail,
    finished_at = now()
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND run_id = :run_id AND status = 'pending';
