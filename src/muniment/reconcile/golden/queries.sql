-- name: setting^
-- What golden records of a reconciliation are made by: rules, columns of the datasets, their pairs.
SELECT
    r.workspace_id, r.name, r.rules,
    (
        SELECT jsonb_object_agg(side, columns)
        FROM datasets
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND side IN ('left', 'right') AND version > 0
    ) AS columns,
    (
        SELECT compared
        FROM reconciliation_runs
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND kind IS NOT NULL
        ORDER BY run_id DESC
        LIMIT 1
    ) AS compared
FROM reconciliations AS r
WHERE r.org_id = current_org_id() AND r.reconciliation_id = :reconciliation_id
    AND (:workspace_id::uuid IS NULL OR r.workspace_id = :workspace_id::uuid);

-- name: list_members
-- The records of a page of clusters, so many of each, and whether there are more.
WITH page AS (
    SELECT DISTINCT cluster_id
    FROM records
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND cluster_id > :after
    ORDER BY cluster_id
    LIMIT :limit
)
SELECT
    page.cluster_id, member.record_id, member.side, member.row, member.identifier,
    member.original, member.dated
FROM page
CROSS JOIN LATERAL (
    SELECT record_id, side, row, identifier, original, dated
    FROM records
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND cluster_id = page.cluster_id
    ORDER BY side, row
    LIMIT :members
) AS member
ORDER BY page.cluster_id, member.side, member.row;

-- name: members_of_cluster
-- The same of one cluster.
SELECT cluster_id, record_id, side, row, identifier, original, dated
FROM records
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND cluster_id = :cluster_id
ORDER BY side, row
LIMIT :members;

-- name: list_values
-- What people have set of some golden records. Bounded by the columns that there are.
SELECT cluster_id, column_name, value
FROM golden_values
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND cluster_id = ANY(:cluster_ids::uuid[]);

-- name: put_values!
-- Set values of a golden record by hand.
INSERT INTO golden_values AS known (
    org_id, reconciliation_id, cluster_id, column_name, value, set_by
)
SELECT
    current_org_id(), :reconciliation_id, :cluster_id, given.column_name, given.value,
    :actor::text
FROM unnest(:names::text[], :values::text[]) AS given (column_name, value)
ON CONFLICT (org_id, reconciliation_id, cluster_id, column_name) DO UPDATE SET
    value = excluded.value,
    set_by = excluded.set_by,
    set_at = now();

-- name: remove_values!
-- Leave values of a golden record to the rules again.
DELETE FROM golden_values
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND cluster_id = :cluster_id AND column_name = ANY(:names::text[]);

-- name: follow_clusters!
-- Let what people have set follow its records where clusters merge; what is set there stays.
WITH gone AS (
    SELECT cluster_id, successor
    FROM unnest(:cluster_ids::uuid[], :successors::uuid[]) AS gone (cluster_id, successor)
), taken AS (
    DELETE FROM golden_values AS v
    USING gone
    WHERE v.org_id = current_org_id() AND v.reconciliation_id = :reconciliation_id
        AND v.cluster_id = gone.cluster_id
    RETURNING gone.successor, v.column_name, v.value, v.set_by, v.set_at
)
INSERT INTO golden_values (
    org_id, reconciliation_id, cluster_id, column_name, value, set_by, set_at
)
SELECT DISTINCT ON (successor, column_name)
    current_org_id(), :reconciliation_id, successor, column_name, value, set_by, set_at
FROM taken
ORDER BY successor, column_name, set_at DESC
ON CONFLICT DO NOTHING;
