-- name: report
-- Counts and sums of matches by status and stage, and of records by side, state, currency and age.
-- A record is matched if a match of it holds; else it is in review, or ambiguous where several
-- matches wait for review; else an entry that another one of its dataset cancels, or unmatched.
WITH shown AS MATERIALIZED (
    SELECT left_record_id, right_record_id, status, stage, currency, amount
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND left_row IS NOT NULL AND right_row IS NOT NULL
), sides AS (
    SELECT dataset_id
    FROM datasets
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND side IN ('left', 'right')
), of_record AS (
    SELECT
        record_id,
        bool_or(status IN ('matched', 'accepted')) AS holds,
        count(*) FILTER (WHERE status = 'review') AS in_review
    FROM (
        SELECT left_record_id AS record_id, status FROM shown
        UNION ALL
        SELECT right_record_id, status FROM shown
    ) AS either
    GROUP BY record_id
), cancelled AS (
    SELECT entry.side, places.row
    FROM (
        SELECT offsets
        FROM reconciliation_runs
        WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
            AND kind IS NOT NULL
        ORDER BY run_id DESC
        LIMIT 1
    ) AS last
    CROSS JOIN LATERAL jsonb_to_recordset(last.offsets)
        AS entry (side text, row bigint, other_row bigint)
    CROSS JOIN LATERAL (VALUES (entry.row), (entry.other_row)) AS places (row)
    GROUP BY entry.side, places.row
), day AS (
    SELECT coalesce(
        :as_of::date,
        (
            SELECT max(dated)
            FROM records
            WHERE org_id = current_org_id() AND dataset_id IN (SELECT dataset_id FROM sides)
        )
    ) AS as_of
), states AS (
    SELECT
        r.side, r.currency, r.amount,
        CASE
            WHEN of_record.holds THEN 'matched'
            WHEN of_record.in_review > 1 THEN 'ambiguous'
            WHEN of_record.in_review = 1 THEN 'review'
            WHEN cancelled.row IS NOT NULL THEN 'offset'
            ELSE 'unmatched'
        END AS state,
        CASE
            WHEN of_record.holds OR r.dated IS NULL THEN NULL
            WHEN day.as_of - r.dated <= 30 THEN '0-30'
            WHEN day.as_of - r.dated <= 60 THEN '31-60'
            WHEN day.as_of - r.dated <= 90 THEN '61-90'
            ELSE 'over-90'
        END AS age
    FROM records AS r
    CROSS JOIN day
    LEFT JOIN of_record USING (record_id)
    LEFT JOIN cancelled ON cancelled.side = r.side AND cancelled.row = r.row
    WHERE r.org_id = current_org_id() AND r.dataset_id IN (SELECT dataset_id FROM sides)
)
SELECT
    'records' AS of, side, state, NULL AS stage, currency, age, count(*) AS found,
    sum(amount) AS amount, NULL::date AS as_of
FROM states
GROUP BY side, state, currency, age
UNION ALL
SELECT 'matches', NULL, status, stage, currency, NULL, count(*), sum(amount), NULL
FROM shown
GROUP BY status, stage, currency
UNION ALL
SELECT 'day', NULL, NULL, NULL, NULL, NULL, 0, NULL, as_of
FROM day
LIMIT 20000;
