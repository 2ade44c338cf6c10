-- name: sides^
-- The datasets whose records are matched, and what kind the last run was.
SELECT
    (
        SELECT array_agg(dataset_id ORDER BY side)
        FROM datasets
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND side IN ('left', 'right')
    ) AS dataset_ids,
    (
        SELECT kind
        FROM reconciliation_runs
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND kind IS NOT NULL
        ORDER BY run_id DESC
        LIMIT 1
    ) AS kind;

-- name: pick_matches
-- Matches of some statuses that a filter means, the surest first, as they are now.
SELECT m.match_id, m.version
FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT match_id, version, confidence
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND status = wanted.status AND left_row IS NOT NULL AND right_row IS NOT NULL
        AND confidence BETWEEN :min_confidence::double precision
            AND :max_confidence::double precision
        AND (decision IS NOT NULL OR :undecided::boolean)
    ORDER BY confidence DESC, match_id DESC
    LIMIT :limit
) AS m
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: pick_matches_by_stage
-- The same of one stage.
SELECT m.match_id, m.version
FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT match_id, version, confidence
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND status = wanted.status AND stage = :stage
        AND left_row IS NOT NULL AND right_row IS NOT NULL
        AND confidence BETWEEN :min_confidence::double precision
            AND :max_confidence::double precision
        AND (decision IS NOT NULL OR :undecided::boolean)
    ORDER BY confidence DESC, match_id DESC
    LIMIT :limit
) AS m
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: insert_pairs
-- Keep pairs that no run has found, so that they can be decided upon; tell which are new.
-- How much of two entries of ledgers is applied to each other is what both of them hold.
INSERT INTO matches (
    org_id, reconciliation_id, match_id, left_record_id, right_record_id, left_row, right_row,
    left_identifier, right_identifier, found, confidence, stage, amount, currency
)
SELECT
    current_org_id(), :reconciliation_id, pair.match_id, pair.left_record_id,
    pair.right_record_id, l.row, r.row, l.identifier, r.identifier, 'unmatched', 1, 'decision',
    CASE WHEN :ledger::boolean THEN least(abs(l.amount), abs(r.amount)) END,
    CASE WHEN :ledger::boolean THEN coalesce(l.currency, r.currency) END
FROM unnest(
    :match_ids::uuid[], :left_record_ids::uuid[], :right_record_ids::uuid[]
) AS pair (match_id, left_record_id, right_record_id)
JOIN records AS l
    ON l.org_id = current_org_id() AND l.dataset_id = :left_dataset_id
    AND l.record_id = pair.left_record_id
JOIN records AS r
    ON r.org_id = current_org_id() AND r.dataset_id = :right_dataset_id
    AND r.record_id = pair.right_record_id
ON CONFLICT DO NOTHING
RETURNING match_id;

-- name: missing_records
-- Which of these records a dataset does not hold. Bounded by those that are asked for.
SELECT asked.record_id
FROM unnest(:record_ids::uuid[]) AS asked (record_id)
WHERE asked.record_id IS NOT NULL AND NOT EXISTS (
    SELECT 1
    FROM records AS r
    WHERE r.org_id = current_org_id() AND r.dataset_id = ANY(:dataset_ids::uuid[])
        AND r.record_id = asked.record_id
);

-- name: decide
-- Decide upon matches that still are as they were seen, and tell how each of them is now.
-- They are locked in one order, lest two who decide wait for each other.
WITH asked AS (
    SELECT match_id, action, decision, version, note, decision_id
    FROM unnest(
        :match_ids::uuid[], :actions::text[], :decisions::text[], :versions::integer[],
        :notes::text[], :decision_ids::uuid[]
    ) AS asked (match_id, action, decision, version, note, decision_id)
), held AS (
    SELECT m.match_id, m.status, m.version, m.left_record_id, m.right_record_id
    FROM (SELECT match_id FROM asked ORDER BY match_id OFFSET 0) AS in_order
    CROSS JOIN LATERAL (
        SELECT match_id, status, version, left_record_id, right_record_id
        FROM matches
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND match_id = in_order.match_id
        LIMIT 1
        FOR UPDATE
    ) AS m
), decided AS (
    UPDATE matches AS m
    SET
        decision = asked.decision,
        decided_by = CASE WHEN asked.decision IS NOT NULL THEN :actor::text END,
        decided_at = CASE WHEN asked.decision IS NOT NULL THEN now() END,
        version = m.version + 1,
        updated_at = now()
    FROM asked
    JOIN held USING (match_id)
    WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
        AND m.match_id = asked.match_id AND m.version = asked.version
        AND held.version = asked.version
    RETURNING m.match_id, m.status, m.version
), noted AS (
    INSERT INTO decisions (
        org_id, decision_id, reconciliation_id, match_id, left_record_id, right_record_id,
        action, status_before, status_after, version, actor, note
    )
    SELECT
        current_org_id(), asked.decision_id, :reconciliation_id, held.match_id,
        held.left_record_id, held.right_record_id, asked.action, held.status, decided.status,
        decided.version, :actor::text, asked.note
    FROM decided
    JOIN held USING (match_id)
    JOIN asked USING (match_id)
)
SELECT
    asked.match_id, held.status AS status_before, held.version AS version_before,
    held.left_record_id, held.right_record_id, decided.status, decided.version
FROM asked
LEFT JOIN held USING (match_id)
LEFT JOIN decided USING (match_id)
ORDER BY asked.decision_id
LIMIT 1000;

-- name: records_of_clusters
-- All records in the clusters of some records. Bounded by the sizes of their clusters.
-- Everything here is looked up one by one (a subselect with a limit or an offset is no join): right
-- after a run Postgres does not know yet how many records and matches there are.
SELECT member.record_id, member.dataset_id, concerned.cluster_id
FROM (
    SELECT DISTINCT r.cluster_id
    FROM unnest(:record_ids::uuid[]) AS asked (record_id)
    CROSS JOIN unnest(:dataset_ids::uuid[]) AS side (dataset_id)
    CROSS JOIN LATERAL (
        SELECT cluster_id
        FROM records
        WHERE org_id = current_org_id() AND dataset_id = side.dataset_id
            AND record_id = asked.record_id
        LIMIT 1
    ) AS r
) AS concerned
CROSS JOIN LATERAL (
    SELECT record_id, dataset_id
    FROM records
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND cluster_id = concerned.cluster_id
    OFFSET 0
) AS member;

-- name: pairs_of_records
-- What joins some records with any others, and what is rejected. Bounded by the records' matches.
SELECT m.left_record_id, m.right_record_id, m.status, m.confidence
FROM (
    SELECT of_one.match_id
    FROM unnest(:record_ids::uuid[]) AS asked (record_id)
    CROSS JOIN LATERAL (
        SELECT match_id
        FROM matches
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND left_record_id = asked.record_id
        UNION
        SELECT match_id
        FROM matches
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND right_record_id = asked.record_id
    ) AS of_one
    GROUP BY of_one.match_id
) AS of_records
CROSS JOIN LATERAL (
    SELECT match_id, left_record_id, right_record_id, left_row, right_row, status, confidence
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id = of_records.match_id
    LIMIT 1
) AS m
WHERE m.status IN ('matched', 'accepted', 'rejected')
    AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
ORDER BY m.match_id;

-- name: move_records!
-- Put records into other clusters.
UPDATE records AS r
SET cluster_id = moved.cluster_id
FROM unnest(:record_ids::uuid[], :dataset_of::uuid[], :cluster_ids::uuid[])
    AS moved (record_id, dataset_id, cluster_id)
WHERE r.org_id = current_org_id() AND r.dataset_id = moved.dataset_id
    AND r.record_id = moved.record_id;
