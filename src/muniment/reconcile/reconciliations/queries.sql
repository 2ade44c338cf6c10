-- name: list_reconciliations
-- Reconciliations of a range of ids, newest first, each with its datasets and its last run.
SELECT
    reconciliation.reconciliation_id, reconciliation.workspace_id, reconciliation.name,
    reconciliation.rules_version, reconciliation.created_at, reconciliation.updated_at,
    held.datasets, last.run AS last_run
FROM reconciliations AS reconciliation
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'id', dataset.dataset_id, 'side', dataset.side, 'name', dataset.name,
                    'status', CASE
                        WHEN dataset.status = 'loading'
                            AND coalesce(job.status, 'failed') NOT IN ('queued', 'running')
                            THEN 'failed'
                        ELSE dataset.status
                    END,
                    'row_count', dataset.row_count, 'version', dataset.version
                )
                ORDER BY dataset.side DESC
            ),
            '[]'
        ) AS datasets
    FROM datasets AS dataset
    LEFT JOIN jobs AS job ON job.org_id = dataset.org_id AND job.job_id = dataset.job_id
    WHERE dataset.org_id = current_org_id()
        AND dataset.reconciliation_id = reconciliation.reconciliation_id
) AS held
LEFT JOIN LATERAL (
    SELECT
        jsonb_build_object(
            'id', run.run_id, 'mode', run.mode,
            'status', CASE
                WHEN run.status <> 'pending' THEN run.status
                WHEN job.status IN ('queued', 'running', 'cancelled') THEN job.status
                ELSE 'failed'
            END,
            'created_at', run.created_at,
            'finished_at', coalesce(run.finished_at, job.finished_at)
        ) AS run
    FROM reconciliation_runs AS run
    LEFT JOIN jobs AS job ON job.org_id = run.org_id AND job.job_id = run.job_id
    WHERE run.org_id = current_org_id()
        AND run.reconciliation_id = reconciliation.reconciliation_id
    ORDER BY run.run_id DESC
    LIMIT 1
) AS last ON true
WHERE reconciliation.org_id = current_org_id()
    AND reconciliation.reconciliation_id >= :first AND reconciliation.reconciliation_id <= :last
    AND (:workspace_id::uuid IS NULL OR reconciliation.workspace_id = :workspace_id::uuid)
ORDER BY reconciliation.reconciliation_id DESC
LIMIT :limit;

-- name: find_reconciliation^
-- Where a reconciliation is and what its rules are.
SELECT reconciliation_id, workspace_id, name, rules, rules_version
FROM reconciliations
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid);

-- name: hold_reconciliation^
-- The same for whoever changes it, its datasets or its runs, one after the other.
SELECT reconciliation_id, workspace_id, name, rules, rules_version
FROM reconciliations
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id::uuid)
FOR NO KEY UPDATE;

-- name: insert_reconciliation$
-- Make a reconciliation, unless the workspace has one of the name.
INSERT INTO reconciliations (org_id, reconciliation_id, workspace_id, name, rules)
VALUES (current_org_id(), :reconciliation_id, :workspace_id, :name, :rules)
ON CONFLICT ON CONSTRAINT reconciliation_name_is_unique DO NOTHING
RETURNING reconciliation_id;

-- name: reconciliation_of_name$
-- The id of the reconciliation of a name in a workspace.
SELECT reconciliation_id
FROM reconciliations
WHERE org_id = current_org_id() AND workspace_id = :workspace_id AND name = :name;

-- name: rename_reconciliation!
-- Give a reconciliation another name.
UPDATE reconciliations
SET name = :name, updated_at = now()
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id;

-- name: delete_reconciliation!
-- Delete a reconciliation with its datasets, runs, matches, decisions and golden values.
DELETE FROM reconciliations
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id;

-- name: columns_of_datasets
-- What the columns of the loaded datasets are called. Bounded by the three sides.
SELECT side, jsonb_path_query_array(columns, '$[*].name') AS names
FROM datasets
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id AND version > 0;

-- name: put_rules$
-- Set the rules that later runs go by, and return their version.
UPDATE reconciliations
SET rules = :rules, rules_version = rules_version + 1, updated_at = now()
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
RETURNING rules_version;
