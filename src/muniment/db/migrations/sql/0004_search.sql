-- Search: the words and the vectors of passages, statistics of words, and the two legs.
--
-- A word is known here by its key, a hash that is salted with its organization (search/postgres/
-- entries.py). So the inverted index, which all organizations share, never leads a query into
-- another organization's rows, however common the word is there.

CREATE TABLE lexical_entries (
    org_id uuid NOT NULL,
    chunk_id uuid NOT NULL,
    document_id uuid NOT NULL,
    length integer NOT NULL CHECK (length >= 0),
    terms integer[] NOT NULL,
    weights sparsevec NOT NULL,
    PRIMARY KEY (org_id, chunk_id),
    FOREIGN KEY (org_id, document_id) REFERENCES documents ON DELETE CASCADE
);
COMMENT ON TABLE lexical_entries IS 'One passage as the lexical leg sees it. Rebuilt from chunks.';
COMMENT ON COLUMN lexical_entries.length IS 'In words, title and headings included.';
COMMENT ON COLUMN lexical_entries.terms IS
    'Keys of the words, and for words that weigh much here a further key per tier of weight.';
COMMENT ON COLUMN lexical_entries.weights IS
    'By key the part of BM25 that depends on the passage: tf (k1 + 1) / (tf + k1 (1 - b + b l / mean l)).';
-- The pending list makes inserts three times as fast; a short one keeps searches from noticing it.
CREATE INDEX lexical_entries_by_term ON lexical_entries USING gin (terms)
    WITH (fastupdate = on, gin_pending_list_limit = 256);
CREATE INDEX lexical_entries_by_document ON lexical_entries (org_id, document_id);
SELECT protect_tenant_table('lexical_entries');

-- How many passages hold a word. Exact counters would make concurrent imports of one organization
-- wait for each other on common words. So each statement that adds or removes entries appends what
-- it changed to lexical_changes, and now and then one of them folds what has been committed into
-- the statistics; the others never wait for it (see fold_lexical_changes).
CREATE TABLE lexical_changes (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    change_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    chunk_count integer NOT NULL,
    word_count bigint NOT NULL,
    terms integer[] NOT NULL,
    frequencies integer[] NOT NULL,
    PRIMARY KEY (org_id, change_id)
);
SELECT protect_tenant_table('lexical_changes');

CREATE TABLE lexical_totals (
    org_id uuid NOT NULL PRIMARY KEY REFERENCES organizations ON DELETE CASCADE,
    chunk_count bigint NOT NULL,
    word_count bigint NOT NULL
);
SELECT protect_tenant_table('lexical_totals');

CREATE TABLE lexical_statistics (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    term integer NOT NULL,
    frequency integer NOT NULL,
    PRIMARY KEY (org_id, term)
) WITH (fillfactor = 80);
COMMENT ON COLUMN lexical_statistics.frequency IS 'Passages that hold the term.';
SELECT protect_tenant_table('lexical_statistics');

CREATE FUNCTION fold_lexical_changes(folded_org uuid) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    -- Whoever comes second leaves it to the first. The lock lasts to the end of the transaction,
    -- so only one transaction at a time has uncommitted changes in the statistics.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('lexical_statistics ' || folded_org, 0)) THEN
        RETURN;
    END IF;
    WITH folded AS (
        DELETE FROM lexical_changes WHERE org_id = folded_org
        RETURNING chunk_count, word_count, terms, frequencies
    ), total AS (
        INSERT INTO lexical_totals AS known (org_id, chunk_count, word_count)
        SELECT folded_org, sum(chunk_count), sum(word_count) FROM folded HAVING count(*) > 0
        ON CONFLICT (org_id) DO UPDATE SET
            chunk_count = known.chunk_count + excluded.chunk_count,
            word_count = known.word_count + excluded.word_count
    )
    INSERT INTO lexical_statistics AS known (org_id, term, frequency)
    SELECT folded_org, change.term, sum(change.frequency)
    FROM folded, unnest(folded.terms, folded.frequencies) AS change (term, frequency)
    GROUP BY change.term
    HAVING sum(change.frequency) <> 0
    ON CONFLICT (org_id, term) DO UPDATE SET frequency = known.frequency + excluded.frequency;
END
$$;
ALTER FUNCTION fold_lexical_changes(uuid) OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION fold_lexical_changes(uuid) FROM PUBLIC;

CREATE FUNCTION note_lexical_change() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
    noted record;
BEGIN
    FOR noted IN
        -- An organization that is being deleted takes its statistics along.
        SELECT changed.org_id, count(*) AS chunks, sum(changed.length) AS words
        FROM changed JOIN organizations USING (org_id)
        GROUP BY changed.org_id
    LOOP
        INSERT INTO lexical_changes (org_id, chunk_count, word_count, terms, frequencies)
        SELECT
            noted.org_id, sign * noted.chunks, sign * noted.words,
            coalesce(array_agg(counted.term), '{}'), coalesce(array_agg(sign * counted.n), '{}')
        FROM (
            SELECT term, count(*) AS n
            FROM changed, unnest(changed.terms) AS term
            WHERE changed.org_id = noted.org_id
            GROUP BY term
        ) AS counted;
        -- Statistics that are a fifth out of date rank as well as exact ones, and growing by a
        -- fifth between two folds keeps the cost of all folds proportional to the entries.
        IF (
            SELECT count(*) >= 200
                OR 5 * sum(abs(change.chunk_count)) >= coalesce((
                    SELECT chunk_count FROM lexical_totals WHERE org_id = noted.org_id
                ), 0)
            FROM lexical_changes AS change
            WHERE change.org_id = noted.org_id
        ) THEN
            PERFORM fold_lexical_changes(noted.org_id);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
ALTER FUNCTION note_lexical_change() OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION note_lexical_change() FROM PUBLIC;

CREATE TRIGGER entries_added AFTER INSERT ON lexical_entries
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_lexical_change();
CREATE TRIGGER entries_removed AFTER DELETE ON lexical_entries
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_lexical_change();

CREATE TABLE embedding_models (
    model_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 500),
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000)
);
COMMENT ON TABLE embedding_models IS 'Vector spaces in use; each has an index of its own.';
REVOKE INSERT, UPDATE, DELETE ON embedding_models FROM muniment_app, muniment_definer;

CREATE TABLE embeddings (
    org_id uuid NOT NULL,
    model_id integer NOT NULL REFERENCES embedding_models,
    chunk_id uuid NOT NULL,
    document_id uuid NOT NULL,
    embedding halfvec NOT NULL,
    PRIMARY KEY (org_id, model_id, chunk_id),
    FOREIGN KEY (org_id, document_id) REFERENCES documents ON DELETE CASCADE
);
COMMENT ON COLUMN embeddings.embedding IS 'Of unit length, in the space of its model.';
CREATE INDEX embeddings_by_document ON embeddings (org_id, document_id);
SELECT protect_tenant_table('embeddings');

-- Runs as its owner, who also owns the table: a new model needs a new partial index.
CREATE FUNCTION embedding_model(wanted_name text, wanted_dimensions integer) RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    known embedding_models;
BEGIN
    SELECT * INTO known FROM embedding_models WHERE name = wanted_name;
    IF NOT FOUND THEN
        INSERT INTO embedding_models (name, dimensions) VALUES (wanted_name, wanted_dimensions)
        ON CONFLICT (name) DO NOTHING
        RETURNING * INTO known;
        IF FOUND THEN
            EXECUTE format(
                'CREATE INDEX embeddings_of_model_%s ON embeddings'
                ' USING hnsw ((embedding::halfvec(%s)) halfvec_cosine_ops)'
                ' WITH (m = 16, ef_construction = 64) WHERE model_id = %s',
                known.model_id, known.dimensions, known.model_id
            );
        ELSE
            SELECT * INTO known FROM embedding_models WHERE name = wanted_name;
        END IF;
    END IF;
    IF known.dimensions <> wanted_dimensions THEN
        RAISE EXCEPTION 'model % has % dimensions, not %',
            wanted_name, known.dimensions, wanted_dimensions
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN known.model_id;
END
$$;
REVOKE ALL ON FUNCTION embedding_model(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION embedding_model(text, integer) TO muniment_app;
