-- name: lexical_totals^
-- How many passages and words an organization holds, what has not been folded yet included.
SELECT
    coalesce(sum(part.chunk_count), 0)::bigint AS chunk_count,
    coalesce(sum(part.word_count), 0)::bigint AS word_count
FROM (
    SELECT chunk_count, word_count FROM lexical_totals WHERE org_id = current_org_id()
    UNION ALL
    SELECT chunk_count, word_count FROM lexical_changes WHERE org_id = current_org_id()
) AS part;

-- name: delete_entries_of_chunks!
-- Drop the words of passages that are about to be written anew.
DELETE FROM lexical_entries
WHERE org_id = current_org_id() AND chunk_id = ANY(:chunk_ids::uuid[]);

-- name: insert_entries!
-- Make passages findable by their words.
INSERT INTO lexical_entries (org_id, chunk_id, document_id, length, terms, weights)
SELECT
    current_org_id(), entry.chunk_id, entry.document_id, entry.length,
    entry.terms::integer[], entry.weights::sparsevec
FROM unnest(
    :chunk_ids::uuid[], :document_ids::uuid[], :lengths::integer[], :terms::text[],
    :weights::text[]
) AS entry (chunk_id, document_id, length, terms, weights);

-- name: delete_entries!
-- Forget the words of documents.
DELETE FROM lexical_entries
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[]);

-- name: delete_embeddings!
-- Forget the vectors of documents.
DELETE FROM embeddings
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[]);

-- name: embedding_model$
-- The number of a vector space, which is entered on its first use.
SELECT embedding_model(:name, :dimensions);

-- name: lock_documents_of_chunks!
-- Hold the documents of passages, in one order, so that no passage vanishes while we write.
SELECT document_id FROM documents
WHERE org_id = current_org_id() AND document_id IN (
    SELECT document_id FROM chunks
    WHERE org_id = current_org_id() AND chunk_id = ANY(:chunk_ids::uuid[])
)
ORDER BY document_id
FOR NO KEY UPDATE;

-- name: upsert_embeddings!
-- Store the vectors of those passages that still exist.
INSERT INTO embeddings (org_id, model_id, chunk_id, document_id, embedding)
SELECT chunk.org_id, :model_id, chunk.chunk_id, chunk.document_id, vector.embedding
FROM unnest(:chunk_ids::uuid[], :vectors::halfvec[]) AS vector (chunk_id, embedding)
JOIN chunks AS chunk ON chunk.org_id = current_org_id() AND chunk.chunk_id = vector.chunk_id
ON CONFLICT (org_id, model_id, chunk_id) DO UPDATE SET embedding = excluded.embedding;

-- name: reuse_embeddings!
-- Give passages without a vector that of an equal passage of the organization.
INSERT INTO embeddings (org_id, model_id, chunk_id, document_id, embedding)
SELECT bare.org_id, :model_id, bare.chunk_id, bare.document_id, twin.embedding
FROM chunks AS bare
CROSS JOIN LATERAL (
    SELECT vector.embedding
    FROM chunks AS other
    JOIN embeddings AS vector
        ON vector.org_id = other.org_id
        AND vector.model_id = :model_id
        AND vector.chunk_id = other.chunk_id
    WHERE other.org_id = current_org_id() AND other.embed_hash = bare.embed_hash
    LIMIT 1
) AS twin
WHERE bare.org_id = current_org_id()
    AND bare.document_id = ANY(:document_ids::uuid[])
    AND NOT EXISTS (
        SELECT FROM embeddings AS own
        WHERE own.org_id = current_org_id()
            AND own.model_id = :model_id
            AND own.chunk_id = bare.chunk_id
    )
ON CONFLICT (org_id, model_id, chunk_id) DO NOTHING;

-- name: lock_documents!
-- Hold documents, in one order, while vectors are written for them.
SELECT document_id FROM documents
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[])
ORDER BY document_id
FOR NO KEY UPDATE;

-- name: unembedded
-- Passages without a vector of a model, oldest first.
SELECT chunk.chunk_id
FROM chunks AS chunk
WHERE chunk.org_id = current_org_id()
    AND (:document_ids::uuid[] IS NULL OR chunk.document_id = ANY(:document_ids::uuid[]))
    AND NOT EXISTS (
        SELECT FROM embeddings AS vector
        WHERE vector.org_id = current_org_id()
            AND vector.model_id = :model_id
            AND vector.chunk_id = chunk.chunk_id
    )
ORDER BY chunk.chunk_id
LIMIT :limit;

-- name: candidates
-- The best passages of each leg for a query, with their places and scores.
SELECT chunk_id, lexical_rank, lexical_score, semantic_rank, semantic_score
FROM search_candidates(
    :query_terms::integer[], :counts::integer[], :tiers::integer[],
    :model_name::text, :query_embedding::halfvec,
    ROW(
        :workspace_id::uuid, :source_ids::uuid[], :document_ids::uuid[], :types::text[],
        :updated_after::timestamptz, :updated_before::timestamptz, :metadata::jsonb
    )::search_filters,
    :depth::integer, :budget::bigint
)
LIMIT 2 * :depth::integer;

-- name: chunks_to_index
-- The next passages of an organization in the order of their ids, to be indexed anew.
SELECT chunk.chunk_id, chunk.document_id, document.title, chunk.heading_path, chunk.text
FROM chunks AS chunk
JOIN documents AS document USING (org_id, document_id)
WHERE chunk.org_id = current_org_id()
    AND (:after::uuid IS NULL OR chunk.chunk_id > :after::uuid)
ORDER BY chunk.chunk_id
LIMIT :limit
FOR KEY SHARE OF document;
