-- name: list_datasets
-- The datasets of a reconciliation. Bounded by the three sides.
SELECT
    dataset.dataset_id, dataset.side, dataset.name, dataset.row_count, dataset.version,
    dataset.job_id, dataset.created_at, dataset.updated_at, stands.status,
    CASE WHEN stands.status = 'failed'
        THEN coalesce(dataset.error_code, job.error ->> 'code', 'job_cancelled')
    END AS error_code,
    coalesce(dataset.error_detail, job.error ->> 'detail') AS error_detail
FROM datasets AS dataset
LEFT JOIN jobs AS job ON job.org_id = dataset.org_id AND job.job_id = dataset.job_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN dataset.status = 'loading'
            AND coalesce(job.status, 'failed') NOT IN ('queued', 'running') THEN 'failed'
        ELSE dataset.status
    END AS status
) AS stands
WHERE dataset.org_id = current_org_id() AND dataset.reconciliation_id = :reconciliation_id
ORDER BY dataset.side DESC;

-- name: get_dataset^
-- One dataset with its columns and the parts that it is made of.
SELECT
    dataset.dataset_id, dataset.side, dataset.name, dataset.row_count, dataset.version,
    dataset.job_id, dataset.created_at, dataset.updated_at, stands.status,
    CASE WHEN stands.status = 'failed'
        THEN coalesce(dataset.error_code, job.error ->> 'code', 'job_cancelled')
    END AS error_code,
    coalesce(dataset.error_detail, job.error ->> 'detail') AS error_detail,
    dataset.faults, dataset.notes, dataset.columns, dataset.overrides,
    (
        SELECT coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'ordinal', part.ordinal, 'kind', part.origin ->> 'kind', 'name', part.name,
                    'size_bytes', part.size_bytes, 'loaded', part.loaded,
                    'created_at', part.created_at
                )
                ORDER BY part.ordinal
            ),
            '[]'
        )
        FROM dataset_parts AS part
        WHERE part.org_id = current_org_id() AND part.dataset_id = dataset.dataset_id
    ) AS parts
FROM datasets AS dataset
LEFT JOIN jobs AS job ON job.org_id = dataset.org_id AND job.job_id = dataset.job_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN dataset.status = 'loading'
            AND coalesce(job.status, 'failed') NOT IN ('queued', 'running') THEN 'failed'
        ELSE dataset.status
    END AS status
) AS stands
WHERE dataset.org_id = current_org_id() AND dataset.reconciliation_id = :reconciliation_id
    AND dataset.side = :side;

-- name: preview_of_dataset^
-- The first records of a dataset, as they were and cleaned.
SELECT version, preview
FROM datasets
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id AND side = :side;

-- name: put_dataset^
-- Make a dataset that is about to be loaded, or let the one of that side be loaded again.
INSERT INTO datasets AS known (org_id, dataset_id, reconciliation_id, side, name)
VALUES (current_org_id(), :dataset_id, :reconciliation_id, :side, :name)
ON CONFLICT ON CONSTRAINT side_has_one_dataset DO UPDATE
SET status = 'loading', error_code = NULL, error_detail = NULL, faults = '[]',
    name = CASE WHEN :keep_name::boolean THEN known.name ELSE excluded.name END,
    updated_at = now()
RETURNING dataset_id, version, job_id;

-- name: drop_stale_parts!
-- Forget what was given to a dataset and never loaded, if the job that was to do it has ended.
DELETE FROM dataset_parts AS part
USING datasets AS dataset
LEFT JOIN jobs AS job ON job.org_id = dataset.org_id AND job.job_id = dataset.job_id
WHERE part.org_id = current_org_id() AND part.dataset_id = :dataset_id AND NOT part.loaded
    AND dataset.org_id = current_org_id() AND dataset.dataset_id = part.dataset_id
    AND coalesce(job.status, 'failed') NOT IN ('queued', 'running');

-- name: add_part!
-- Note what is to be loaded into a dataset, after all that was given before.
INSERT INTO dataset_parts (
    org_id, dataset_id, ordinal, origin, name, content_hash, size_bytes, options, replaces
)
SELECT
    current_org_id(), :dataset_id::uuid, coalesce(max(ordinal), 0) + 1, :origin::jsonb, :name,
    :content_hash::bytea, :size_bytes::bigint, :options::jsonb, :replaces::boolean
FROM dataset_parts
WHERE org_id = current_org_id() AND dataset_id = :dataset_id::uuid;

-- name: is_loaded_by!
-- Note which job loads a dataset.
UPDATE datasets
SET job_id = :job_id
WHERE org_id = current_org_id() AND dataset_id = :dataset_id;

-- name: change_overrides^
-- Keep what somebody decided of columns, for the load that follows.
UPDATE datasets
SET overrides = :overrides, status = 'loading', error_code = NULL, error_detail = NULL,
    faults = '[]', updated_at = now()
WHERE org_id = current_org_id() AND dataset_id = :dataset_id
RETURNING dataset_id;

-- name: delete_dataset^
-- Delete a dataset with its records; returns what it was called.
DELETE FROM datasets
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id AND side = :side
RETURNING dataset_id, name;

-- name: delete_undecided_matches!
-- Delete the matches that nobody decided: a dataset is gone whose records they were of.
DELETE FROM matches
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id AND decision IS NULL;

-- name: document_in_workspace$
-- What a document of a workspace is called.
SELECT title
FROM documents
WHERE org_id = current_org_id() AND document_id = :document_id AND workspace_id = :workspace_id;

-- name: source_in_workspace$
-- What a source of a workspace is called.
SELECT name
FROM sources
WHERE org_id = current_org_id() AND source_id = :source_id AND workspace_id = :workspace_id;

-- name: dataset_to_load^
-- What a job needs to load a dataset; no row when it was deleted.
SELECT
    dataset.dataset_id, dataset.reconciliation_id, dataset.side, dataset.name, dataset.overrides,
    dataset.columns, dataset.key_column, dataset.row_count, dataset.version,
    dataset.originals_hash, reconciliation.workspace_id
FROM datasets AS dataset
JOIN reconciliations AS reconciliation
    ON reconciliation.org_id = dataset.org_id
    AND reconciliation.reconciliation_id = dataset.reconciliation_id
WHERE dataset.org_id = current_org_id() AND dataset.dataset_id = :dataset_id;

-- name: waiting_parts
-- What was given to a dataset and is not loaded, from the last part on that replaces the others.
SELECT ordinal, origin, name, content_hash, size_bytes, options, replaces
FROM dataset_parts
WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND NOT loaded
    AND ordinal >= coalesce(
        (
            SELECT max(ordinal)
            FROM dataset_parts
            WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND replaces
                AND NOT loaded
        ),
        0
    )
ORDER BY ordinal
LIMIT :limit;

-- name: hold_dataset$
-- Keep a dataset as it is until the commit, and return its version; NULL when it was deleted.
SELECT version
FROM datasets
WHERE org_id = current_org_id() AND dataset_id = :dataset_id
FOR UPDATE;

-- name: finish_load!
-- Let a dataset be what was loaded.
UPDATE datasets
SET
    status = CASE
        WHEN EXISTS (
            SELECT
            FROM dataset_parts
            WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND NOT loaded
                AND ordinal > :last::integer
        ) THEN 'loading'
        ELSE 'ready'
    END,
    error_code = NULL, error_detail = NULL, faults = '[]', columns = :columns, notes = :notes,
    preview = :preview, key_column = :key_column, row_count = :row_count,
    version = :version::integer, originals_hash = :originals_hash, cleaned_hash = :cleaned_hash,
    changed_version = CASE WHEN :changed::boolean THEN :version ELSE changed_version END,
    updated_at = now()
WHERE org_id = current_org_id() AND dataset_id = :dataset_id;

-- name: parts_are_loaded!
-- Note that the records of parts are in a dataset.
UPDATE dataset_parts
SET loaded = true
WHERE org_id = current_org_id() AND dataset_id = :dataset_id
    AND ordinal BETWEEN :first::integer AND :last::integer;

-- name: drop_replaced_parts!
-- Forget parts whose place others took.
DELETE FROM dataset_parts
WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND ordinal < :first::integer;

-- name: fail_load!
-- Tell why a dataset could not be loaded; what was loaded before stays.
UPDATE datasets
SET status = 'failed', error_code = :error_code, error_detail = :error_detail, faults = :faults,
    updated_at = now()
WHERE org_id = current_org_id() AND dataset_id = :dataset_id;

-- name: parts_are_bad!
-- Forget parts that cannot be loaded.
DELETE FROM dataset_parts
WHERE org_id = current_org_id() AND dataset_id = :dataset_id AND NOT loaded
    AND ordinal <= :last::integer;

-- name: rows_may_change_places!
-- Let rows of records be unique again at the commit only: two may change places.
SET CONSTRAINTS row_of_dataset_is_unique DEFERRED;

-- name: forget_records$
-- Delete the records of a range of ids that are not in the dataset any more; returns how many.
WITH gone AS (
    DELETE FROM records
    WHERE org_id = current_org_id() AND dataset_id = :dataset_id
        AND record_id >= :first AND record_id < :before
        AND record_id = ANY(ARRAY(
            SELECT record_id
            FROM records
            WHERE org_id = current_org_id() AND dataset_id = :dataset_id
                AND record_id >= :first AND record_id < :before
            EXCEPT
            SELECT kept.record_id
            FROM unnest(:kept::uuid[]) AS kept (record_id)
        ))
    RETURNING record_id
)
SELECT count(*) FROM gone;

-- name: put_records^
-- Write records that are new or not as they were; returns how many are new, how many changed.
WITH given AS (
    SELECT
        item.record_id, item.row, item.identifier, item.original::jsonb AS original,
        item.amount::numeric AS amount, item.currency, item.dated
    FROM unnest(
        :record_ids::uuid[], :rows::bigint[], :identifiers::text[], :originals::text[],
        :amounts::text[], :currencies::text[], :dates::date[]
    ) AS item (record_id, row, identifier, original, amount, currency, dated)
),
written AS (
    INSERT INTO records AS known (
        org_id, reconciliation_id, dataset_id, record_id, side, row, identifier, original,
        amount, currency, dated, cluster_id, added_version, changed_version
    )
    SELECT
        current_org_id(), :reconciliation_id, :dataset_id, record_id, :side, row, identifier,
        original, amount, currency, dated, record_id, :version::integer, :version::integer
    FROM given
    ON CONFLICT (org_id, dataset_id, record_id) DO UPDATE
    SET row = excluded.row, identifier = excluded.identifier, original = excluded.original,
        amount = excluded.amount, currency = excluded.currency, dated = excluded.dated,
        changed_version = CASE
            WHEN known.original IS DISTINCT FROM excluded.original THEN excluded.changed_version
            ELSE known.changed_version
        END
    WHERE (
        known.row, known.identifier, known.original, known.amount, known.currency, known.dated
    ) IS DISTINCT FROM (
        excluded.row, excluded.identifier, excluded.original, excluded.amount, excluded.currency,
        excluded.dated
    )
    RETURNING (xmax = 0) AS added, changed_version
)
SELECT
    count(*) FILTER (WHERE added) AS added,
    count(*) FILTER (WHERE NOT added AND changed_version = :version::integer) AS changed
FROM written;

-- name: datasets_of_reconciliation
-- The datasets of a reconciliation by side. Bounded by the three sides.
SELECT side, dataset_id, row_count, version
FROM datasets
WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id;

-- name: refresh_match_rows$
-- Tell matches of a range of ids where their records are now, NULL if nowhere; returns the last id.
WITH page AS (
    SELECT
        match_id, left_record_id, right_record_id, left_row, left_identifier, right_row,
        right_identifier
    FROM matches
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id > :after
    ORDER BY match_id
    LIMIT :limit
),
moved AS (
    UPDATE matches
    SET
        (left_row, left_identifier) = (
            SELECT row, identifier
            FROM records
            WHERE org_id = current_org_id() AND dataset_id = :left_dataset_id
                AND record_id = matches.left_record_id
        ),
        (right_row, right_identifier) = (
            SELECT row, identifier
            FROM records
            WHERE org_id = current_org_id() AND dataset_id = :right_dataset_id
                AND record_id = matches.right_record_id
        )
    WHERE org_id = current_org_id() AND reconciliation_id = :reconciliation_id
        AND match_id > :after
        AND match_id <= (SELECT match_id FROM page ORDER BY match_id DESC LIMIT 1)
        AND match_id = ANY(ARRAY(
            SELECT page.match_id
            FROM page
            LEFT JOIN LATERAL (
                SELECT row, identifier
                FROM records
                WHERE org_id = current_org_id() AND dataset_id = :left_dataset_id
                    AND record_id = page.left_record_id
                LIMIT 1
            ) AS one ON true
            LEFT JOIN LATERAL (
                SELECT row, identifier
                FROM records
                WHERE org_id = current_org_id() AND dataset_id = :right_dataset_id
                    AND record_id = page.right_record_id
                LIMIT 1
            ) AS other ON true
            WHERE (page.left_row, page.left_identifier, page.right_row, page.right_identifier)
                IS DISTINCT FROM (one.row, one.identifier, other.row, other.identifier)
        ))
)
SELECT match_id FROM page ORDER BY match_id DESC LIMIT 1;

-- name: documents_of_source
-- The documents of a source with what is known of each, a page by their ids.
SELECT
    document_id, title, external_id, url, media_type, size_bytes, source_updated_at, text_hash
FROM documents
WHERE org_id = current_org_id() AND source_id = :source_id AND document_id > :after
ORDER BY document_id
LIMIT :limit;

-- name: original_of_document^
-- Where the bytes of a document are and what it is called.
SELECT title, external_id, content_hash
FROM documents
WHERE org_id = current_org_id() AND document_id = :document_id;
