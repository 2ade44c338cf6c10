-- name: reconciliation_in_view^
-- A reconciliation as far as the caller may see it, and its datasets.
SELECT
    r.name, l.dataset_id AS left_dataset_id, d.dataset_id AS right_dataset_id,
    coalesce(l.row_count, 0) AS left_rows, coalesce(d.row_count, 0) AS right_rows
FROM reconciliations AS r
LEFT JOIN datasets AS l
    ON l.org_id = r.org_id AND l.reconciliation_id = r.reconciliation_id AND l.side = 'left'
LEFT JOIN datasets AS d
    ON d.org_id = r.org_id AND d.reconciliation_id = r.reconciliation_id AND d.side = 'right'
WHERE r.org_id = current_org_id() AND r.reconciliation_id = :reconciliation_id
    AND (:workspace_id::uuid IS NULL OR r.workspace_id = :workspace_id::uuid);

-- name: list_matches
-- A page of matches of some statuses, the surest first: of each status the first, then of those.
SELECT
    m.match_id, m.left_record_id, m.right_record_id, m.left_row, m.right_row, m.left_identifier,
    m.right_identifier, m.status, m.found, m.decision, m.confidence, m.stage, m.amount,
    m.currency, m.explanation, m.alternatives, m.version, m.run_id, m.decided_by, m.decided_at,
    (
        SELECT r.cluster_id
        FROM records AS r
        WHERE r.org_id = current_org_id() AND r.dataset_id = :left_dataset_id
            AND r.record_id = m.left_record_id
    ) AS cluster_id
FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT
        match_id, left_record_id, right_record_id, left_row, right_row, left_identifier,
        right_identifier, status, found, decision, confidence, stage, amount, currency,
        explanation, alternatives, version, run_id, decided_by, decided_at
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND status = wanted.status AND left_row IS NOT NULL AND right_row IS NOT NULL
        AND (confidence, match_id) < (:confidence::double precision, :match_id::uuid)
        AND confidence >= :min_confidence::double precision
    ORDER BY confidence DESC, match_id DESC
    LIMIT :limit
) AS m
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: list_matches_by_stage
-- The same of one stage.
SELECT
    m.match_id, m.left_record_id, m.right_record_id, m.left_row, m.right_row, m.left_identifier,
    m.right_identifier, m.status, m.found, m.decision, m.confidence, m.stage, m.amount,
    m.currency, m.explanation, m.alternatives, m.version, m.run_id, m.decided_by, m.decided_at,
    (
        SELECT r.cluster_id
        FROM records AS r
        WHERE r.org_id = current_org_id() AND r.dataset_id = :left_dataset_id
            AND r.record_id = m.left_record_id
    ) AS cluster_id
FROM unnest(:statuses::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT
        match_id, left_record_id, right_record_id, left_row, right_row, left_identifier,
        right_identifier, status, found, decision, confidence, stage, amount, currency,
        explanation, alternatives, version, run_id, decided_by, decided_at
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND status = wanted.status AND stage = :stage
        AND left_row IS NOT NULL AND right_row IS NOT NULL
        AND (confidence, match_id) < (:confidence::double precision, :match_id::uuid)
        AND confidence >= :min_confidence::double precision
    ORDER BY confidence DESC, match_id DESC
    LIMIT :limit
) AS m
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: list_matches_of_record
-- The same of one record, on whichever side it is.
-- Each match is looked up by itself (a subselect with a limit is no join): right after a run, before
-- Postgres knows how many matches there are, it would rather read them all than look up a few.
SELECT
    m.match_id, m.left_record_id, m.right_record_id, m.left_row, m.right_row, m.left_identifier,
    m.right_identifier, m.status, m.found, m.decision, m.confidence, m.stage, m.amount,
    m.currency, m.explanation, m.alternatives, m.version, m.run_id, m.decided_by, m.decided_at,
    (
        SELECT r.cluster_id
        FROM records AS r
        WHERE r.org_id = current_org_id() AND r.dataset_id = :left_dataset_id
            AND r.record_id = m.left_record_id
    ) AS cluster_id
FROM (
    SELECT match_id
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND left_record_id = :record_id
    UNION
    SELECT match_id
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND right_record_id = :record_id
) AS of_record
CROSS JOIN LATERAL (
    SELECT
        match_id, left_record_id, right_record_id, left_row, right_row, left_identifier,
        right_identifier, status, found, decision, confidence, stage, amount, currency,
        explanation, alternatives, version, run_id, decided_by, decided_at
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id = of_record.match_id
    LIMIT 1
) AS m
WHERE m.status = ANY(:statuses::text[]) AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
    AND (:stage::text IS NULL OR m.stage = :stage::text)
    AND (m.confidence, m.match_id) < (:confidence::double precision, :match_id::uuid)
    AND m.confidence >= :min_confidence::double precision
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: list_competing_matches
-- Other matches of the two records of a match, the surest first.
SELECT
    m.match_id, m.left_record_id, m.right_record_id, m.left_row, m.right_row, m.left_identifier,
    m.right_identifier, m.status, m.found, m.decision, m.confidence, m.stage, m.amount,
    m.currency, m.explanation, m.alternatives, m.version, m.run_id, m.decided_by, m.decided_at,
    (
        SELECT r.cluster_id
        FROM records AS r
        WHERE r.org_id = current_org_id() AND r.dataset_id = :left_dataset_id
            AND r.record_id = m.left_record_id
    ) AS cluster_id
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
    SELECT
        match_id, left_record_id, right_record_id, left_row, right_row, left_identifier,
        right_identifier, status, found, decision, confidence, stage, amount, currency,
        explanation, alternatives, version, run_id, decided_by, decided_at
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id = of_records.match_id
    LIMIT 1
) AS m
WHERE m.match_id <> :match_id AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
ORDER BY m.confidence DESC, m.match_id DESC
LIMIT :limit;

-- name: get_match^
-- One match with all that both records hold.
SELECT
    m.match_id, m.left_record_id, m.right_record_id, m.left_row, m.right_row, m.left_identifier,
    m.right_identifier, m.status, m.found, m.decision, m.confidence, m.stage, m.amount,
    m.currency, m.explanation, m.alternatives, m.version, m.run_id, m.decided_by, m.decided_at,
    l.cluster_id, l.original AS left_values, r.original AS right_values
FROM matches AS m
LEFT JOIN LATERAL (
    SELECT cluster_id, original
    FROM records
    WHERE org_id = current_org_id() AND dataset_id = :left_dataset_id
        AND record_id = m.left_record_id
    LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT original
    FROM records
    WHERE org_id = current_org_id()
        AND dataset_id = coalesce(:right_dataset_id::uuid, :left_dataset_id)
        AND record_id = m.right_record_id
    LIMIT 1
) AS r ON true
WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
    AND m.match_id = :match_id;

-- name: list_unmatched
-- Records among so many rows of a dataset that are in no match that holds, in the order of rows.
-- Each record is looked up by itself (a subselect with an offset is no join), so that a page costs
-- what its rows cost, however many matches there are.
SELECT
    r.record_id, r.row, r.identifier, r.amount, r.currency, r.dated, r.original,
    (
        SELECT count(*)
        FROM matches AS m
        WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
            AND m.left_record_id = r.record_id AND m.status = 'review'
            AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
    ) + (
        SELECT count(*)
        FROM matches AS m
        WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
            AND m.right_record_id = r.record_id AND m.status = 'review'
            AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
    ) AS in_review
FROM records AS r
WHERE r.org_id = current_org_id() AND r.dataset_id = :dataset_id
    AND r.row > :after::bigint AND r.row <= :until::bigint
    AND NOT EXISTS (
        SELECT 1
        FROM matches AS m
        WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
            AND m.left_record_id = r.record_id AND m.status IN ('matched', 'accepted')
            AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
        OFFSET 0
    )
    AND NOT EXISTS (
        SELECT 1
        FROM matches AS m
        WHERE m.org_id = current_org_id() AND m.reconciliation_id = :reconciliation_id
            AND m.right_record_id = r.record_id AND m.status IN ('matched', 'accepted')
            AND m.left_row IS NOT NULL AND m.right_row IS NOT NULL
        OFFSET 0
    )
ORDER BY r.row
LIMIT :limit;

-- name: list_decisions
-- A page of what was decided, newest first.
SELECT
    decision_id, match_id, left_record_id, right_record_id, action, status_before, status_after,
    version, actor, note, decided_at
FROM decisions
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND decision_id < :before
ORDER BY decision_id DESC
LIMIT :limit;

-- name: list_decisions_of_match
-- The same of one match.
SELECT
    decision_id, match_id, left_record_id, right_record_id, action, status_before, status_after,
    version, actor, note, decided_at
FROM decisions
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
    AND match_id = :match_id AND decision_id < :before
ORDER BY decision_id DESC
LIMIT :limit;
