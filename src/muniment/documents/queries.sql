-- name: mark_seen
-- Note that a sync run met these items, and return what is known of them.
UPDATE documents
SET seen_run_id = :run_id
WHERE org_id = current_org_id()
    AND source_id = :source_id
    AND external_id = ANY(:external_ids::text[])
RETURNING
    external_id,
    source_version,
    status = 'pending' AND updated_at < now() - interval '15 minutes' AS stranded;

-- name: mark_folder_seen!
-- Keep what is known below folders that could not be listed.
UPDATE documents
SET seen_run_id = :run_id
WHERE org_id = current_org_id()
    AND source_id = :source_id
    AND external_id ^@ ANY(:prefixes::text[]);

-- name: upsert_documents
-- Take in new and changed items; content that is already searchable stays as it is.
INSERT INTO documents AS known (
    org_id, document_id, workspace_id, source_id, external_id, title, url, media_type,
    size_bytes, content_hash, status, source_version, source_updated_at, seen_run_id
)
SELECT
    current_org_id(), item.document_id, :workspace_id, :source_id, item.external_id, item.title,
    -- What has no address at its source is had from us.
    coalesce(item.url, '/v1/documents/' || item.document_id || '/original'),
    item.media_type, item.size_bytes, item.content_hash, 'pending',
    item.source_version, item.source_updated_at, :run_id
FROM unnest(
    :document_ids::uuid[], :external_ids::text[], :titles::text[], :urls::text[],
    :media_types::text[], :sizes::bigint[], :hashes::bytea[], :versions::text[],
    :updated_ats::timestamptz[]
) AS item (
    document_id, external_id, title, url, media_type, size_bytes, content_hash,
    source_version, source_updated_at
)
ON CONFLICT ON CONSTRAINT document_is_imported_once DO UPDATE SET
    url = CASE
        WHEN excluded.url ^@ '/v1/documents/' THEN known.url
        ELSE excluded.url
    END,
    size_bytes = excluded.size_bytes,
    content_hash = excluded.content_hash,
    source_version = excluded.source_version,
    source_updated_at = excluded.source_updated_at,
    seen_run_id = excluded.seen_run_id,
    status = CASE
        WHEN known.content_hash = excluded.content_hash
            AND known.status IN ('searchable', 'embedded') THEN known.status
        ELSE 'pending'
    END,
    error_code = NULL,
    error_detail = NULL,
    updated_at = now()
RETURNING document_id, external_id, size_bytes, status, (xmax = 0) AS added;

-- name: upsert_failures
-- Keep items that could not be read, with the reason; they hold no content.
INSERT INTO documents AS known (
    org_id, document_id, workspace_id, source_id, external_id, title, url, size_bytes,
    status, error_code, error_detail, seen_run_id
)
SELECT
    current_org_id(), item.document_id, :workspace_id, :source_id, item.external_id, item.title,
    item.url, 0, 'failed', item.error_code, item.error_detail, :run_id
FROM unnest(
    :document_ids::uuid[], :external_ids::text[], :titles::text[], :urls::text[],
    :error_codes::text[], :error_details::text[]
) AS item (document_id, external_id, title, url, error_code, error_detail)
ON CONFLICT ON CONSTRAINT document_is_imported_once DO UPDATE SET
    status = 'failed',
    error_code = excluded.error_code,
    error_detail = excluded.error_detail,
    size_bytes = 0,
    content_hash = NULL,
    source_version = NULL,
    chunk_count = 0,
    seen_run_id = excluded.seen_run_id,
    updated_at = now()
RETURNING document_id, (xmax = 0) AS added;

-- name: stored_sizes
-- Which of these items are stored, and how many bytes each has.
SELECT external_id, size_bytes
FROM documents
WHERE org_id = current_org_id()
    AND source_id = :source_id
    AND external_id = ANY(:external_ids::text[]);

-- name: unseen_documents
-- Documents of a source that its finished run did not meet: they are gone there. Whoever deletes
-- documents holds the organization's usage before any of them (see hold_usage in the schema).
WITH held AS MATERIALIZED (SELECT hold_usage() AS usage)
SELECT document.document_id
FROM held
CROSS JOIN documents AS document
WHERE document.org_id = current_org_id()
    AND document.source_id = :source_id
    AND document.seen_run_id IS DISTINCT FROM :run_id
ORDER BY document.document_id
LIMIT :limit
FOR UPDATE OF document;

-- name: delete_documents!
-- Forget documents; their passages go with them.
DELETE FROM documents
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[]);

-- name: pending_documents
-- The documents of a conversion job that still wait for it.
SELECT document_id, external_id, title, media_type, size_bytes, content_hash
FROM documents
WHERE org_id = current_org_id()
    AND document_id = ANY(:document_ids::uuid[])
    AND status = 'pending'
ORDER BY document_id
LIMIT 1000;

-- name: converted_twins
-- For each content hash one document of the organization that already has its passages.
SELECT DISTINCT ON (content_hash)
    content_hash, document_id, external_id, title, text_hash, media_type, page_count, chunk_count, metadata
FROM documents
WHERE org_id = current_org_id()
    AND content_hash = ANY(:hashes::bytea[])
    AND status IN ('searchable', 'embedded')
ORDER BY content_hash, document_id
LIMIT 1000;

-- name: chunks_after
-- Passages of a document in reading order, to be copied for equal content.
SELECT ordinal, text, heading_path, page, start_offset, end_offset, token_count
FROM chunks
WHERE org_id = current_org_id() AND document_id = :document_id AND ordinal > :after
ORDER BY ordinal
LIMIT :limit;

-- name: lock_pending
-- Hold the documents that still wait with the very content that was converted.
SELECT document.document_id
FROM documents AS document
JOIN unnest(:document_ids::uuid[], :hashes::bytea[]) AS wanted (document_id, content_hash)
    ON document.document_id = wanted.document_id
    AND document.content_hash = wanted.content_hash
WHERE document.org_id = current_org_id() AND document.status = 'pending'
ORDER BY document.document_id
LIMIT 1000
FOR UPDATE OF document;

-- name: delete_chunks!
-- Drop the passages of documents that are about to get new ones.
DELETE FROM chunks
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[]);

-- name: insert_chunks!
-- Write passages in bulk. (COPY is not allowed on a table under row-level security.)
INSERT INTO chunks (
    org_id, chunk_id, document_id, ordinal, text, heading_path, page, start_offset, end_offset,
    token_count, embed_hash
)
SELECT
    current_org_id(), chunk_id, document_id, ordinal, text,
    string_to_array(heading_path, E'\x1f'), page, start_offset, end_offset, token_count, embed_hash
FROM unnest(
    :chunk_ids::uuid[], :document_ids::uuid[], :ordinals::int[], :texts::text[],
    :heading_paths::text[], :pages::int[], :starts::int[], :ends::int[], :token_counts::int[],
    :embed_hashes::bytea[]
) AS new (
    chunk_id, document_id, ordinal, text, heading_path, page, start_offset, end_offset,
    token_count, embed_hash
);

-- name: finish_conversions!
-- Record what conversion found; the documents are searchable from this commit on.
UPDATE documents AS document
SET status = CASE WHEN result.chunk_count = 0 THEN 'embedded' ELSE 'searchable' END,
    title = result.title,
    media_type = result.media_type,
    metadata = result.metadata,
    page_count = result.page_count,
    chunk_count = result.chunk_count,
    text_hash = result.text_hash,
    error_code = NULL,
    error_detail = NULL,
    updated_at = now()
FROM unnest(
    :document_ids::uuid[], :titles::text[], :media_types::text[], :metadata::jsonb[],
    :page_counts::int[], :chunk_counts::int[], :text_hashes::bytea[]
) AS result (
    document_id, title, media_type, metadata, page_count, chunk_count, text_hash
)
WHERE document.org_id = current_org_id() AND document.document_id = result.document_id;

-- name: fail_documents!
-- Record why documents could not be converted; nothing of them is searchable.
UPDATE documents AS document
SET status = 'failed',
    error_code = result.error_code,
    error_detail = result.error_detail,
    chunk_count = 0,
    updated_at = now()
FROM unnest(:document_ids::uuid[], :error_codes::text[], :error_details::text[])
    AS result (document_id, error_code, error_detail)
WHERE document.org_id = current_org_id() AND document.document_id = result.document_id;

-- name: passages_to_embed
-- The texts that an embedding batch works on.
SELECT chunk.chunk_id, chunk.heading_path, chunk.text, chunk.embed_hash, document.title
FROM chunks AS chunk
JOIN documents AS document USING (org_id, document_id)
WHERE chunk.org_id = current_org_id() AND chunk.chunk_id = ANY(:chunk_ids::uuid[])
ORDER BY chunk.chunk_id
LIMIT 1000;

-- name: finish_embedding!
-- The passages of these documents all have their vectors.
UPDATE documents
SET status = 'embedded', updated_at = now()
WHERE org_id = current_org_id()
    AND document_id = ANY(:document_ids::uuid[])
    AND status = 'searchable';

-- name: source_counts^
-- How far a source's documents are, and how many passages still wait for their vectors.
SELECT
    count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status = 'searchable') AS searchable,
    count(*) FILTER (WHERE status = 'embedded') AS embedded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    coalesce(sum(chunk_count) FILTER (WHERE status = 'searchable'), 0)::bigint AS unembedded_chunks,
    coalesce(sum(chunk_count), 0)::bigint AS chunks
FROM documents
WHERE org_id = current_org_id() AND source_id = :source_id;

-- name: failures_of_source
-- Items of a source that failed, with their reasons, in the order of their names.
SELECT external_id, error_code, error_detail
FROM documents
WHERE org_id = current_org_id()
    AND source_id = :source_id
    AND status = 'failed'
    AND external_id > :after
ORDER BY external_id
LIMIT 1000;

-- name: list_documents
-- A page of the library, newest first; narrowed to a source or a status where asked.
SELECT
    document_id, workspace_id, source_id, external_id, title, url, media_type, size_bytes, status,
    error_code, error_detail, page_count, chunk_count, source_updated_at, created_at, updated_at
FROM documents
WHERE org_id = current_org_id()
    AND document_id < :before
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id)
    AND (:source_id::uuid IS NULL OR source_id = :source_id)
    AND (:status::text IS NULL OR status = :status)
ORDER BY document_id DESC
LIMIT :limit;

-- name: get_document^
-- One document of the library with what its content tells of itself.
SELECT
    document_id, workspace_id, source_id, external_id, title, url, media_type, size_bytes, status,
    error_code, error_detail, page_count, chunk_count, source_updated_at, created_at, updated_at,
    metadata, content_hash, text_hash
FROM documents
WHERE org_id = current_org_id()
    AND document_id = :document_id
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id);

-- name: fetch_documents
-- Some documents of the library by their ids.
SELECT
    document_id, workspace_id, source_id, external_id, title, url, media_type, size_bytes, status,
    error_code, error_detail, page_count, chunk_count, source_updated_at, created_at, updated_at,
    metadata
FROM documents
WHERE org_id = current_org_id()
    AND document_id = any(:document_ids::uuid[])
    AND (:workspace_id::uuid IS NULL OR workspace_id = :workspace_id);

-- name: list_chunks
-- A page of a document's passages in reading order.
SELECT
    chunk.chunk_id, chunk.ordinal, chunk.text, chunk.heading_path, chunk.page,
    chunk.start_offset, chunk.end_offset, chunk.token_count
FROM chunks AS chunk
WHERE chunk.org_id = current_org_id()
    AND chunk.document_id = :document_id
    AND chunk.ordinal > :after
ORDER BY chunk.ordinal
LIMIT :limit;

-- name: uploads_of_workspace$
-- The source that stands for uploads to a workspace; it is made with the first one. Usage is held
-- before the source is, as by whoever deletes a source.
WITH held AS MATERIALIZED (SELECT hold_usage() AS usage)
INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)
SELECT current_org_id(), :source_id, :workspace_id, 'upload', 'Uploads', 'upload'
FROM held
ON CONFLICT ON CONSTRAINT source_is_connected_once DO UPDATE SET name = sources.name
RETURNING source_id;
