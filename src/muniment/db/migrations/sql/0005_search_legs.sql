-- Search: how the two legs find candidates.

-- Conditions on documents. NULL means no condition.
CREATE TYPE search_filters AS (
    workspace_id uuid,
    source_ids uuid[],
    document_ids uuid[],
    types text[],
    updated_after timestamptz,
    updated_before timestamptz,
    metadata jsonb
);

CREATE FUNCTION document_passes(document documents, filters search_filters) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (filters.workspace_id IS NULL OR document.workspace_id = filters.workspace_id)
        AND (filters.source_ids IS NULL OR document.source_id = ANY(filters.source_ids))
        AND (filters.document_ids IS NULL OR document.document_id = ANY(filters.document_ids))
        AND (filters.types IS NULL OR document.media_type = ANY(filters.types)
            OR split_part(document.media_type, '/', 1) || '/*' = ANY(filters.types))
        AND (filters.updated_after IS NULL
            OR coalesce(document.source_updated_at, document.created_at) >= filters.updated_after)
        AND (filters.updated_before IS NULL
            OR coalesce(document.source_updated_at, document.created_at) <= filters.updated_before)
        AND (filters.metadata IS NULL OR document.metadata @> filters.metadata);

-- The legs run past row-level security, because under it the planner may not use an index for an
-- operator that is not marked leakproof, and `&&` is not. So each takes the organization from the
-- transaction's setting, as the policies do, and from nothing else. They return ids and scores;
-- the passages are then read under the policies. Only search_candidates may be called from outside.

CREATE TYPE plan_of_word AS (keys integer[], costs bigint[]);

CREATE FUNCTION plan_lexical_query(query_terms integer[], counts integer[], tiers integer[])
    RETURNS TABLE (term integer, weight real, plan plan_of_word)
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
DECLARE
    org uuid := current_org_id();
    width integer := cardinality(tiers) / cardinality(query_terms);
    chunks bigint := (SELECT chunk_count FROM lexical_totals WHERE org_id = org);
BEGIN
    -- Per query word, rarest first: its BM25 weight, and the keys that find it with the passages
    -- that each finds: first the word itself, then its tiers, which `tiers` holds for one word
    -- after the other.
    RETURN QUERY
    SELECT
        measured.term,
        (measured.count * ln(
            1 + (greatest(chunks, costs[1]) - costs[1] + 0.5) / (costs[1] + 0.5)
        ))::real,
        ROW(measured.keys, costs)::plan_of_word
    FROM (
        SELECT asked.term, asked.count, asked.keys, ARRAY(
            SELECT greatest(coalesce(known.frequency, 0), 0)::bigint
            FROM unnest(asked.keys) WITH ORDINALITY AS wanted (key, place)
            LEFT JOIN lexical_statistics AS known ON known.org_id = org AND known.term = wanted.key
            ORDER BY wanted.place
        ) AS costs
        FROM (
            SELECT
                word.term, word.count,
                word.term || tiers[(word.place - 1) * width + 1 : word.place * width] AS keys
            FROM unnest(query_terms, counts) WITH ORDINALITY AS word (term, count, place)
        ) AS asked
    ) AS measured
    ORDER BY costs[1], measured.term;
END
$$;

CREATE FUNCTION lexical_leg(
    query sparsevec, keys integer[], documents uuid[], filters search_filters, depth integer
)
    RETURNS TABLE (chunk_id uuid, score double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
    SET plan_cache_mode = force_custom_plan
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
DECLARE
    org uuid := current_org_id();
BEGIN
    IF documents IS NOT NULL THEN
        -- Few documents: score all their passages. The fence keeps the inverted index out.
        RETURN QUERY
        SELECT few.chunk_id, -(few.weights <#> query) AS score
        FROM (
            SELECT entry.chunk_id, entry.weights FROM lexical_entries AS entry
            WHERE entry.org_id = org AND entry.document_id = ANY(documents)
            OFFSET 0
        ) AS few
        WHERE few.weights <#> query < 0
        ORDER BY score DESC, few.chunk_id
        LIMIT depth;
    ELSIF filters IS NULL THEN
        -- Written so that the primary key is no way to find an organization's rows: with stale
        -- statistics the planner would rather read them all.
        RETURN QUERY
        SELECT entry.chunk_id, -(entry.weights <#> query) AS score
        FROM lexical_entries AS entry
        WHERE entry.org_id IS NOT DISTINCT FROM org AND entry.terms && keys
        ORDER BY score DESC, entry.chunk_id
        LIMIT depth;
    ELSE
        -- Best first until enough pass: the subquery in WHERE is run row by row, after the sort.
        RETURN QUERY
        SELECT best.chunk_id, best.score
        FROM (
            SELECT entry.chunk_id, entry.document_id, -(entry.weights <#> query) AS score
            FROM lexical_entries AS entry
            WHERE entry.org_id IS NOT DISTINCT FROM org AND entry.terms && keys
            ORDER BY score DESC, entry.chunk_id
            OFFSET 0
        ) AS best
        WHERE (
            SELECT document_passes(document, filters) FROM documents AS document
            WHERE document.org_id = org AND document.document_id = best.document_id
            LIMIT 1
        )
        LIMIT depth;
    END IF;
END
$$;

CREATE FUNCTION semantic_leg(
    model integer, query halfvec, documents uuid[], filters search_filters, exact boolean,
    depth integer
)
    RETURNS TABLE (chunk_id uuid, score double precision)
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
    SET plan_cache_mode = force_custom_plan
    SET enable_seqscan = off
    AS $$
#variable_conflict use_column
DECLARE
    org uuid := current_org_id();
    passes text := CASE WHEN filters IS NULL THEN 'true' ELSE
        '(SELECT document_passes(document, $3) FROM documents AS document'
        ' WHERE document.org_id = $5 AND document.document_id = vector.document_id'
        ' LIMIT 1)' END;
BEGIN
    IF documents IS NOT NULL THEN
        RETURN QUERY
        SELECT near.chunk_id, 1 - near.distance
        FROM (
            SELECT vector.chunk_id, vector.embedding <=> query AS distance
            FROM embeddings AS vector
            WHERE vector.org_id = org AND vector.model_id = model
                AND vector.document_id = ANY(documents)
            ORDER BY distance, vector.chunk_id
            LIMIT depth
        ) AS near;
    ELSIF exact THEN
        RETURN QUERY EXECUTE
            'SELECT near.chunk_id, 1 - near.distance FROM ('
            ' SELECT vector.chunk_id, vector.embedding <=> $1 AS distance FROM embeddings AS vector'
            ' WHERE vector.org_id = $5 AND vector.model_id = $2 AND ' || passes ||
            ' ORDER BY distance, vector.chunk_id LIMIT $4) AS near'
            USING query, model, filters, depth, org;
    ELSE
        -- The model's number and length are written out: its partial index is found by them.
        -- Relaxed order is put right by the outer sort.
        PERFORM set_config('hnsw.iterative_scan', 'relaxed_order', true),
            set_config('hnsw.ef_search', least(greatest(depth, 100), 1000)::text, true);
        RETURN QUERY EXECUTE format(
            'SELECT near.chunk_id, 1 - near.distance FROM ('
            ' SELECT vector.chunk_id, vector.embedding::halfvec(%1$s) <=> $1 AS distance'
            ' FROM embeddings AS vector'
            ' WHERE vector.org_id IS NOT DISTINCT FROM $5'
            ' AND vector.model_id = %2$s AND %3$s'
            ' ORDER BY distance LIMIT $4) AS near ORDER BY near.distance, near.chunk_id',
            vector_dims(query), model, passes
        ) USING query, model, filters, depth, org;
    END IF;
END
$$;

CREATE FUNCTION admitted_keys(
    words plan_of_word[], budget bigint, OUT keys integer[], OUT complete boolean
)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = public, pg_temp
    AS $$
DECLARE
    word plan_of_word;
    remaining bigint := budget;
    width integer;
BEGIN
    keys := '{}';
    complete := true;
    FOREACH word IN ARRAY words LOOP
        width := cardinality(word.keys);
        FOR step IN 1..width LOOP
            -- The rarest word finds something whatever it costs.
            IF word.costs[step] <= remaining OR (keys = '{}' AND step = width) THEN
                keys := keys || word.keys[step];
                remaining := remaining - word.costs[step];
                complete := complete AND step = 1;
                EXIT;
            END IF;
            complete := complete AND step < width;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION admitted_keys(plan_of_word[], bigint) IS
    'Chooses what may propose candidates: each word, rarest first, by the widest key that fits.';

CREATE FUNCTION passing_documents(
    filters search_filters, most integer, OUT ids uuid[], OUT passages bigint
)
    LANGUAGE plpgsql STABLE
    SET search_path = public, pg_temp
    -- Planned for each filter: conditions that are not made vanish from the plan.
    SET plan_cache_mode = force_custom_plan
    AS $$
DECLARE
    org uuid := current_org_id();
BEGIN
    SELECT array_agg(passing.document_id), sum(passing.chunk_count) INTO ids, passages
    FROM (
        SELECT document.document_id, document.chunk_count
        FROM documents AS document
        WHERE document.org_id = org AND document_passes(document, filters)
        LIMIT most
    ) AS passing;
END
$$;
COMMENT ON FUNCTION passing_documents(search_filters, integer) IS
    'Up to so many documents that pass a filter, and how many passages they have.';

CREATE FUNCTION search_candidates(
    query_terms integer[], counts integer[], tiers integer[],
    model_name text, query_embedding halfvec,
    filters search_filters, depth integer, budget bigint
)
    RETURNS TABLE (
        chunk_id uuid,
        lexical_rank bigint, lexical_score double precision,
        semantic_rank bigint, semantic_score double precision
    )
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
DECLARE
    org uuid := current_org_id();
    few_documents CONSTANT integer := 5000;
    -- Of the organization and of all; both lag a little.
    held bigint := coalesce((SELECT chunk_count FROM lexical_totals WHERE org_id = org), 0);
    shared bigint := greatest(
        held, (SELECT reltuples FROM pg_class WHERE oid = 'public.embeddings'::regclass)
    );
    documents uuid[];
    lexical_documents uuid[];
    passages bigint := held;
    exact boolean;
    words plan_of_word[];
    query sparsevec;
    admitted record;
    model integer;
    lexical_ids uuid[] := '{}';
    lexical_scores double precision[] := '{}';
    semantic_ids uuid[] := '{}';
    semantic_scores double precision[] := '{}';
BEGIN
    IF NOT filters IS NULL THEN
        SELECT passing.ids, passing.passages INTO documents, passages
        FROM passing_documents(filters, few_documents + 1) AS passing;
        IF documents IS NULL THEN
            RETURN;
        ELSIF cardinality(documents) > few_documents THEN
            documents := NULL;
            passages := held;
        END IF;
    END IF;
    -- Few passages are scanned, not searched: a walk through the graph, which all organizations
    -- share, would meet mostly others. Scanning costs 0.6 microseconds a passage, the walk 17 for
    -- each one that it meets, and it meets `shared / passages` for each one that it may return.
    exact := passages * passages <= 30 * depth * shared;

    IF cardinality(query_terms) > 0 THEN
        SELECT
            array_agg(word.plan),
            ('{' || string_agg(word.term || ':' || word.weight, ',') || '}/1000000000')::sparsevec
        INTO words, query
        FROM plan_lexical_query(query_terms, counts, tiers) AS word;
        IF passages <= budget THEN
            lexical_documents := documents;
        END IF;
        LOOP
            admitted := admitted_keys(words, budget);
            SELECT coalesce(array_agg(hit.chunk_id), '{}'), coalesce(array_agg(hit.score), '{}')
            INTO lexical_ids, lexical_scores
            FROM lexical_leg(query, admitted.keys, lexical_documents, filters, depth) AS hit;
            -- Common words and filters must not make results disappear: look wider.
            EXIT WHEN admitted.complete OR lexical_documents IS NOT NULL
                OR cardinality(lexical_ids) >= depth;
            budget := budget * 8;
        END LOOP;
    END IF;

    SELECT known.model_id INTO model FROM embedding_models AS known WHERE known.name = model_name;
    IF query_embedding IS NOT NULL AND FOUND THEN
        LOOP
            SELECT coalesce(array_agg(hit.chunk_id), '{}'), coalesce(array_agg(hit.score), '{}')
            INTO semantic_ids, semantic_scores
            FROM semantic_leg(
                model, query_embedding, CASE WHEN exact THEN documents END, filters, exact, depth
            ) AS hit;
            -- A walk that gave up early leaves the rest to a scan.
            EXIT WHEN exact OR cardinality(semantic_ids) >= least(depth, passages);
            exact := true;
        END LOOP;
    END IF;

    RETURN QUERY
    SELECT
        coalesce(lexical.chunk_id, semantic.chunk_id),
        lexical.place,
        coalesce(lexical.score, (
            SELECT -(entry.weights <#> query) FROM lexical_entries AS entry
            WHERE entry.org_id = org AND entry.chunk_id = semantic.chunk_id
        )),
        semantic.place,
        coalesce(semantic.score, (
            SELECT 1 - (vector.embedding <=> query_embedding) FROM embeddings AS vector
            WHERE vector.org_id = org AND vector.model_id = model
                AND vector.chunk_id = lexical.chunk_id
        ))
    FROM unnest(lexical_ids, lexical_scores) WITH ORDINALITY AS lexical (chunk_id, score, place)
    FULL JOIN unnest(semantic_ids, semantic_scores)
        WITH ORDINALITY AS semantic (chunk_id, score, place)
        ON lexical.chunk_id = semantic.chunk_id;
END
$$;

ALTER FUNCTION plan_lexical_query(integer[], integer[], integer[]) OWNER TO muniment_definer;
ALTER FUNCTION passing_documents(search_filters, integer) OWNER TO muniment_definer;
ALTER FUNCTION admitted_keys(plan_of_word[], bigint) OWNER TO muniment_definer;
ALTER FUNCTION lexical_leg(sparsevec, integer[], uuid[], search_filters, integer)
    OWNER TO muniment_definer;
ALTER FUNCTION semantic_leg(integer, halfvec, uuid[], search_filters, boolean, integer)
    OWNER TO muniment_definer;
ALTER FUNCTION search_candidates(
    integer[], integer[], integer[], text, halfvec, search_filters, integer, bigint
) OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION passing_documents(search_filters, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION plan_lexical_query(integer[], integer[], integer[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION lexical_leg(sparsevec, integer[], uuid[], search_filters, integer)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION semantic_leg(integer, halfvec, uuid[], search_filters, boolean, integer)
    FROM PUBLIC;
REVOKE ALL ON FUNCTION search_candidates(
    integer[], integer[], integer[], text, halfvec, search_filters, integer, bigint
) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_candidates(
    integer[], integer[], integer[], text, halfvec, search_filters, integer, bigint
) TO muniment_app;
