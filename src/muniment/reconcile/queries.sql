-- name: analyze!
-- Let Postgres count records and matches, so that it plans with what is there.
SELECT analyze_reconciliations();

-- name: analyze_first!
-- Give records and matches their first statistics, if they have none.
SELECT analyze_records_once();
