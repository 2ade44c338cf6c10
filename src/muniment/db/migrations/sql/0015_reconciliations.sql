-- Reconciliations: datasets and their records, matches, decisions, runs.

CREATE TABLE reconciliations (
    org_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    rules jsonb NOT NULL DEFAULT '{}',
    rules_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, reconciliation_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE,
    CONSTRAINT reconciliation_name_is_unique UNIQUE (org_id, workspace_id, name)
);
COMMENT ON TABLE reconciliations IS
    'What is matched with what: up to two datasets, a third one of evidence, and rules.';
SELECT protect_tenant_table('reconciliations');

CREATE TABLE datasets (
    org_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    side text NOT NULL CHECK (side IN ('left', 'right', 'evidence')),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 1000),
    status text NOT NULL DEFAULT 'loading' CHECK (status IN ('loading', 'ready', 'failed')),
    error_code text,
    error_detail text,
    faults jsonb NOT NULL DEFAULT '[]',
    overrides jsonb NOT NULL DEFAULT '{}',
    columns jsonb NOT NULL DEFAULT '[]',
    notes jsonb NOT NULL DEFAULT '[]',
    preview jsonb NOT NULL DEFAULT '{}',
    key_column text,
    row_count bigint NOT NULL DEFAULT 0 CHECK (row_count >= 0),
    version integer NOT NULL DEFAULT 0,
    changed_version integer NOT NULL DEFAULT 0,
    originals_hash bytea CHECK (length(originals_hash) = 32),
    cleaned_hash bytea CHECK (length(cleaned_hash) = 32),
    job_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, dataset_id),
    FOREIGN KEY (org_id, reconciliation_id) REFERENCES reconciliations ON DELETE CASCADE,
    CONSTRAINT side_has_one_dataset UNIQUE (org_id, reconciliation_id, side),
    CONSTRAINT failure_of_dataset_has_a_reason
    CHECK ((status = 'failed') = (error_code IS NOT NULL)),
    CONSTRAINT ready_dataset_has_its_tables
    CHECK (status <> 'ready' OR (originals_hash IS NOT NULL AND cleaned_hash IS NOT NULL))
);
COMMENT ON COLUMN datasets.faults IS 'Where the file is wrong: row, column, line, detail.';
COMMENT ON COLUMN datasets.overrides IS 'What a person decided of columns, by their names.';
COMMENT ON COLUMN datasets.columns IS 'What was inferred of the columns, as people are shown it.';
COMMENT ON COLUMN datasets.version IS 'Counts the loads; a run tells which versions it compared.';
COMMENT ON COLUMN datasets.changed_version IS
    'The last version in which more changed than that records were added.';
COMMENT ON COLUMN datasets.key_column IS 'Names the records since the first load; NULL: all cells.';
COMMENT ON COLUMN datasets.preview IS 'The first records as they were and cleaned.';
COMMENT ON COLUMN datasets.originals_hash IS 'Names the blob of all cells as they were (Parquet).';
COMMENT ON COLUMN datasets.cleaned_hash IS 'Names the blob of the typed columns (Parquet).';
SELECT protect_tenant_table('datasets');

CREATE TABLE dataset_parts (
    org_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal >= 1),
    origin jsonb NOT NULL,
    name text NOT NULL,
    content_hash bytea CHECK (length(content_hash) = 32),
    size_bytes bigint NOT NULL DEFAULT 0 CHECK (size_bytes >= 0),
    options jsonb NOT NULL DEFAULT '{}',
    replaces boolean NOT NULL,
    loaded boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, dataset_id, ordinal),
    FOREIGN KEY (org_id, dataset_id) REFERENCES datasets ON DELETE CASCADE
);
COMMENT ON TABLE dataset_parts IS
    'The files, queries or documents that a dataset is made of, one after the other.';
COMMENT ON COLUMN dataset_parts.origin IS
    'Where it is from: an upload, a query (connection and statement), a document, a source.';
COMMENT ON COLUMN dataset_parts.options IS 'How it is read: delimiter, encoding, sheet.';
COMMENT ON COLUMN dataset_parts.replaces IS 'Takes the place of all parts before it, once loaded.';
COMMENT ON COLUMN dataset_parts.loaded IS 'Its records are in the dataset; else a job sees to it.';
SELECT protect_tenant_table('dataset_parts');

CREATE TABLE reconciliation_runs (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    job_id uuid,
    mode text NOT NULL CHECK (mode IN ('full', 'incremental', 'plan')),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'failed')),
    error_code text,
    error_detail text,
    rules jsonb NOT NULL DEFAULT '{}',
    versions jsonb NOT NULL DEFAULT '{}',
    kind text,
    threshold double precision,
    compared jsonb NOT NULL DEFAULT '[]',
    offsets jsonb NOT NULL DEFAULT '[]',
    notes jsonb NOT NULL DEFAULT '[]',
    counts jsonb NOT NULL DEFAULT '{}',
    plan jsonb,
    model_hash bytea CHECK (length(model_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (org_id, run_id),
    FOREIGN KEY (org_id, reconciliation_id) REFERENCES reconciliations ON DELETE CASCADE,
    CONSTRAINT failure_of_run_has_a_reason CHECK ((status = 'failed') = (error_code IS NOT NULL))
);
COMMENT ON COLUMN reconciliation_runs.versions IS 'Versions of the datasets compared, by side.';
COMMENT ON COLUMN reconciliation_runs.kind IS 'Which stages suited: ledger, linkage, duplicates.';
COMMENT ON COLUMN reconciliation_runs.plan IS
    'What would be compared and what it would cost; a run of mode plan compares nothing.';
COMMENT ON COLUMN reconciliation_runs.counts IS 'What it did to the matches: added, changed, removed.';
COMMENT ON COLUMN reconciliation_runs.model_hash IS
    'Names the blob of what was learned, for runs that compare new records only.';
CREATE INDEX reconciliation_runs_by_reconciliation
    ON reconciliation_runs (org_id, reconciliation_id, run_id);
SELECT protect_tenant_table('reconciliation_runs');

CREATE TABLE records (
    org_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    dataset_id uuid NOT NULL,
    record_id uuid NOT NULL,
    side text NOT NULL CHECK (side IN ('left', 'right')),
    row bigint NOT NULL CHECK (row >= 1),
    identifier text,
    original jsonb NOT NULL,
    amount numeric,
    currency text,
    dated date,
    cluster_id uuid NOT NULL,
    added_version integer NOT NULL,
    changed_version integer NOT NULL,
    PRIMARY KEY (org_id, dataset_id, record_id),
    FOREIGN KEY (org_id, dataset_id) REFERENCES datasets ON DELETE CASCADE,
    -- Within one statement rows change places when a file is sorted anew.
    CONSTRAINT row_of_dataset_is_unique UNIQUE (org_id, dataset_id, row) DEFERRABLE
);
COMMENT ON TABLE records IS 'The rows of the left and the right dataset.';
COMMENT ON COLUMN records.record_id IS
    'The same for the same record in every load: made of its identifier, or of all its values.';
COMMENT ON COLUMN records.original IS 'Its cells as they were, by column; empty ones left out.';
COMMENT ON COLUMN records.cluster_id IS
    'Records that are the same thing share it; it outlives runs. Alone, a record has its own.';
COMMENT ON COLUMN records.added_version IS 'Version of the dataset that first had the record.';
COMMENT ON COLUMN records.changed_version IS 'Version of the dataset that last changed its cells.';
CREATE INDEX records_by_cluster ON records (org_id, reconciliation_id, cluster_id);
SELECT protect_tenant_table('records');

CREATE TABLE matches (
    org_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    match_id uuid NOT NULL,
    left_record_id uuid NOT NULL,
    right_record_id uuid NOT NULL,
    left_row bigint,
    right_row bigint,
    left_identifier text,
    right_identifier text,
    found text NOT NULL CHECK (found IN ('matched', 'review', 'unmatched')),
    decision text CHECK (decision IN ('accepted', 'rejected', 'unmatched')),
    status text NOT NULL GENERATED ALWAYS AS (coalesce(decision, found)) STORED,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    stage text NOT NULL,
    amount numeric,
    currency text,
    explanation jsonb NOT NULL DEFAULT '[]',
    alternatives jsonb NOT NULL DEFAULT '[]',
    version integer NOT NULL DEFAULT 1,
    run_id uuid,
    decided_by text,
    decided_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, reconciliation_id, match_id),
    FOREIGN KEY (org_id, reconciliation_id) REFERENCES reconciliations ON DELETE CASCADE,
    -- The record comes before the reconciliation, here and in the index of the other record: until
    -- Postgres has counted what a run has written, it takes the reconciliation alone for so rare
    -- that it would look up a record by any index that begins with it.
    CONSTRAINT pair_is_matched_once
    UNIQUE (org_id, left_record_id, right_record_id, reconciliation_id),
    CONSTRAINT decision_is_somebodys CHECK ((decision IS NULL) = (decided_by IS NULL))
);
COMMENT ON TABLE matches IS
    'Pairs of records: what the last run found of each, and what people decided.';
COMMENT ON COLUMN matches.left_row IS 'NULL while the record is not in the dataset.';
COMMENT ON COLUMN matches.found IS
    'What the last run says; unmatched: it did not find the pair, which is kept for its decision.';
COMMENT ON COLUMN matches.version IS
    'Counts the changes; a decision names the version that it was made upon.';
-- Read backwards, so that a page begins by comparing both columns at once: with thousands of equal
-- confidences the hundredth page costs as much as the first.
CREATE INDEX matches_by_status
    ON matches (org_id, reconciliation_id, status, confidence, match_id)
    WHERE left_row IS NOT NULL AND right_row IS NOT NULL;
CREATE INDEX matches_by_stage
    ON matches (org_id, reconciliation_id, status, stage, confidence, match_id)
    WHERE left_row IS NOT NULL AND right_row IS NOT NULL;
CREATE INDEX matches_by_right_record
    ON matches (org_id, right_record_id, reconciliation_id);
SELECT protect_tenant_table('matches');

CREATE TABLE decisions (
    org_id uuid NOT NULL,
    decision_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    match_id uuid NOT NULL,
    left_record_id uuid NOT NULL,
    right_record_id uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('accept', 'reject', 'unmatch', 'reset')),
    status_before text NOT NULL,
    status_after text NOT NULL,
    version integer NOT NULL,
    actor text NOT NULL CHECK (actor <> '' AND length(actor) <= 400),
    note text CHECK (length(note) <= 2000),
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, decision_id),
    FOREIGN KEY (org_id, reconciliation_id) REFERENCES reconciliations ON DELETE CASCADE
);
COMMENT ON TABLE decisions IS 'Everything that people decided of pairs, in order; never changed.';
COMMENT ON COLUMN decisions.version IS 'Of the match, after the decision.';
CREATE INDEX decisions_by_reconciliation ON decisions (org_id, reconciliation_id, decision_id);
CREATE INDEX decisions_by_match ON decisions (org_id, reconciliation_id, match_id, decision_id);
SELECT protect_tenant_table('decisions');

CREATE TABLE golden_values (
    org_id uuid NOT NULL,
    reconciliation_id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    column_name text NOT NULL CHECK (column_name <> ''),
    value text,
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, reconciliation_id, cluster_id, column_name),
    FOREIGN KEY (org_id, reconciliation_id) REFERENCES reconciliations ON DELETE CASCADE
);
COMMENT ON TABLE golden_values IS 'Values of golden records that people set by hand.';
SELECT protect_tenant_table('golden_values');

-- Files of records take room as documents do: their bytes are counted beside those, in the
-- transaction that adds or deletes them (see 0008_usage.sql).
CREATE FUNCTION count_inserted_parts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    INSERT INTO usage AS used (org_id, bytes)
    SELECT org_id, sum(size_bytes) FROM added GROUP BY org_id ORDER BY org_id
    ON CONFLICT (org_id) DO UPDATE SET bytes = used.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_deleted_parts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    UPDATE usage AS used
    SET bytes = used.bytes - gone.bytes
    FROM (SELECT org_id, sum(size_bytes) AS bytes FROM removed GROUP BY org_id) AS gone
    WHERE used.org_id = gone.org_id;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['count_inserted_parts()', 'count_deleted_parts()'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_owner', signature);
    END LOOP;
END
$$;

CREATE TRIGGER hold_usage BEFORE INSERT OR DELETE ON dataset_parts
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
-- Deleting these deletes parts.
CREATE TRIGGER hold_usage BEFORE DELETE ON datasets
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
CREATE TRIGGER hold_usage BEFORE DELETE ON reconciliations
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
CREATE TRIGGER count_inserted AFTER INSERT ON dataset_parts
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_parts();
CREATE TRIGGER count_deleted AFTER DELETE ON dataset_parts
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_parts();

-- Until Postgres has counted what a load or a run has written, it takes a reconciliation for a few
-- rows, and may read all of them wherever it looks up one. Autovacuum counts within minutes; a
-- worker that has written asks for it at once. Only the owner of tables may.
CREATE FUNCTION analyze_reconciliations() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    ANALYZE records, matches;
END
$$;
REVOKE ALL ON FUNCTION analyze_reconciliations() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_reconciliations() TO muniment_worker;

-- Tables without any statistics are planned as if an organization had a row or two in them: until
-- autovacuum comes by, a first large load would be compared with itself row by row.
CREATE FUNCTION analyze_records_once() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = 'records'::regclass AND reltuples < 0) THEN
        ANALYZE records;
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE oid = 'matches'::regclass AND reltuples < 0) THEN
        ANALYZE matches;
    END IF;
END
$$;
COMMENT ON FUNCTION analyze_records_once() IS
    'Gives records and matches their first statistics, in the transaction that first fills them.';
REVOKE ALL ON FUNCTION analyze_records_once() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION analyze_records_once() TO muniment_worker;
