-- name: fetch_passages
-- The passages of a result by id, in the given order. The authority on what may be shown.
SELECT
    chunk.chunk_id, chunk.document_id, document.title, document.url, chunk.text, chunk.page,
    chunk.heading_path
FROM unnest(:chunk_ids::uuid[]) WITH ORDINALITY AS wanted (chunk_id, place)
JOIN chunks AS chunk ON chunk.org_id = current_org_id() AND chunk.chunk_id = wanted.chunk_id
JOIN documents AS document
    ON document.org_id = current_org_id() AND document.document_id = chunk.document_id
WHERE :workspace_id::uuid IS NULL OR document.workspace_id = :workspace_id::uuid
ORDER BY wanted.place
LIMIT :limit;

-- name: create_evaluation!
-- A temporary organization with one workspace and one source, for a judged collection.
WITH organization AS (
    INSERT INTO organizations (org_id, name, tier) VALUES (:org_id, :name, 'enterprise')
), workspace AS (
    INSERT INTO workspaces (org_id, workspace_id, name) VALUES (:org_id, :workspace_id, 'default')
)
INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)
VALUES (:org_id, :source_id, :workspace_id, 'upload', :name, :name);

-- name: add_evaluated_documents!
-- Documents of a judged collection, waiting for their content.
INSERT INTO documents (
    org_id, document_id, workspace_id, source_id, external_id, title, size_bytes, content_hash,
    status
)
SELECT
    current_org_id(), added.document_id, :workspace_id, :source_id, added.external_id, added.title,
    0, added.content_hash, 'pending'
FROM unnest(
    :document_ids::uuid[], :external_ids::text[], :titles::text[], :hashes::bytea[]
) AS added (document_id, external_id, title, content_hash);

-- name: evaluated_names
-- The names that a judged collection gives to the documents of a result.
SELECT document_id, external_id FROM documents
WHERE org_id = current_org_id() AND document_id = ANY(:document_ids::uuid[])
LIMIT 1000;

-- name: drop_evaluated_documents!
-- Delete some documents of a temporary organization: all at once would be too long a statement.
DELETE FROM documents
WHERE org_id = :org_id AND document_id IN (
    SELECT document_id FROM documents WHERE org_id = :org_id LIMIT 1000
);

-- name: drop_evaluation!
-- Delete a temporary organization with all that is left of it.
DELETE FROM organizations WHERE org_id = :org_id;

-- name: models_without_index
-- Embedding models whose vectors have no index.
SELECT model.model_id, model.name, model.dimensions
FROM embedding_models AS model
WHERE to_regclass(format('public.embeddings_of_model_%s', model.model_id)) IS NULL
ORDER BY model.model_id
LIMIT 100;
