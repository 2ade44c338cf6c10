-- name: records_by_id
-- The cells of some records. Bounded by those that are asked for.
SELECT r.record_id, r.original
FROM unnest(:record_ids::uuid[]) AS asked (record_id)
CROSS JOIN unnest(:dataset_ids::uuid[]) AS side (dataset_id)
CROSS JOIN LATERAL (
    SELECT record_id, original
    FROM records
    WHERE org_id = current_org_id() AND dataset_id = side.dataset_id
        AND record_id = asked.record_id
    LIMIT 1
) AS r;

-- name: identifiers_of_rows
-- What some rows of datasets are called. Bounded by those that are asked for.
SELECT r.side, r.row, r.identifier
FROM unnest(:rows::bigint[]) AS asked (row)
CROSS JOIN unnest(:dataset_ids::uuid[]) AS dataset (dataset_id)
CROSS JOIN LATERAL (
    SELECT side, row, identifier
    FROM records
    WHERE org_id = current_org_id() AND dataset_id = dataset.dataset_id
        AND row = asked.row
    LIMIT 1
) AS r
WHERE r.identifier IS NOT NULL;

-- name: source_columns^
-- What the columns of the datasets are called, and which entries the last run found cancelled.
SELECT
    (
        SELECT jsonb_object_agg(side, jsonb_path_query_array(columns, '$[*].name'))
        FROM datasets
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND side IN ('left', 'right') AND version > 0
    ) AS columns,
    (
        SELECT offsets
        FROM reconciliation_runs
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND kind IS NOT NULL
        ORDER BY run_id DESC
        LIMIT 1
    ) AS offsets;
