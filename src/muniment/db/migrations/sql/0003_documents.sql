-- Sources, documents and their passages.

CREATE TABLE sources (
    org_id uuid NOT NULL,
    source_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    type text NOT NULL CHECK (type IN ('local_folder', 'upload')),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 500),
    location text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, source_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE,
    CONSTRAINT source_is_connected_once UNIQUE (org_id, workspace_id, type, location)
);
SELECT protect_tenant_table('sources');

CREATE TABLE sync_runs (
    org_id uuid NOT NULL,
    run_id uuid NOT NULL,
    source_id uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    found integer NOT NULL DEFAULT 0,
    added integer NOT NULL DEFAULT 0,
    changed integer NOT NULL DEFAULT 0,
    removed integer NOT NULL DEFAULT 0,
    unreadable integer NOT NULL DEFAULT 0,
    PRIMARY KEY (org_id, run_id),
    FOREIGN KEY (org_id, source_id) REFERENCES sources ON DELETE CASCADE
);
COMMENT ON COLUMN sync_runs.finished_at IS
    'When the source was listed to its end and removed items were forgotten; NULL until then.';
CREATE INDEX sync_runs_by_source ON sync_runs (org_id, source_id, run_id);
SELECT protect_tenant_table('sync_runs');

CREATE TABLE documents (
    org_id uuid NOT NULL,
    document_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    source_id uuid NOT NULL,
    external_id text NOT NULL,
    title text NOT NULL,
    url text,
    media_type text,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    content_hash bytea CHECK (length(content_hash) = 32),
    status text NOT NULL CHECK (status IN ('pending', 'searchable', 'embedded', 'failed')),
    error_code text,
    error_detail text,
    metadata jsonb NOT NULL DEFAULT '{}',
    page_count integer,
    chunk_count integer NOT NULL DEFAULT 0,
    text_hash bytea,
    source_version text,
    source_updated_at timestamptz,
    seen_run_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, document_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE,
    FOREIGN KEY (org_id, source_id) REFERENCES sources ON DELETE CASCADE,
    CONSTRAINT document_is_imported_once UNIQUE (org_id, source_id, external_id),
    CONSTRAINT only_a_failure_has_no_content CHECK (status = 'failed' OR content_hash IS NOT NULL),
    CONSTRAINT failure_has_a_reason CHECK ((status = 'failed') = (error_code IS NOT NULL))
);
COMMENT ON COLUMN documents.content_hash IS 'SHA-256 of the original bytes; names the blob.';
COMMENT ON COLUMN documents.text_hash IS 'SHA-256 of the converted text; names its blob.';
COMMENT ON COLUMN documents.source_version IS
    'What the source says of this version (etag; size and time of change): equal means unchanged.';
COMMENT ON COLUMN documents.seen_run_id IS 'Last sync run that met the item at its source.';
CREATE INDEX documents_by_content ON documents (org_id, content_hash)
    WHERE status IN ('searchable', 'embedded');
CREATE INDEX documents_by_workspace ON documents (org_id, workspace_id, document_id);
CREATE INDEX documents_unfinished ON documents (org_id, source_id, document_id)
    WHERE status IN ('pending', 'searchable');
SELECT protect_tenant_table('documents');

CREATE TABLE chunks (
    org_id uuid NOT NULL,
    chunk_id uuid NOT NULL,
    document_id uuid NOT NULL,
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    text text NOT NULL,
    heading_path text[] NOT NULL DEFAULT '{}',
    page integer,
    start_offset integer NOT NULL,
    end_offset integer NOT NULL,
    token_count integer NOT NULL,
    embed_hash bytea NOT NULL CHECK (length(embed_hash) = 32),
    PRIMARY KEY (org_id, chunk_id),
    FOREIGN KEY (org_id, document_id) REFERENCES documents ON DELETE CASCADE,
    CONSTRAINT chunk_has_extent CHECK (end_offset >= start_offset)
);
COMMENT ON COLUMN chunks.embed_hash IS
    'SHA-256 of the text given to the embedder: equal passages share one computation.';
COMMENT ON COLUMN chunks.start_offset IS 'In characters of the converted text.';
CREATE INDEX chunks_by_document ON chunks (org_id, document_id, ordinal);
CREATE INDEX chunks_by_embed_hash ON chunks (org_id, embed_hash);
SELECT protect_tenant_table('chunks');
