-- Keys and sessions by when they were last used, which warming asks for, and keys by workspace.
-- Without these the doctor finds statements that read all keys of a large installation.

-- Keys and sessions are few, and nobody works during an upgrade.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX api_keys_by_last_use ON api_keys (last_used_at) WHERE last_used_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX sessions_by_last_use ON sessions (last_seen_at);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX api_keys_by_workspace ON api_keys (org_id, workspace_id)
    WHERE workspace_id IS NOT NULL;
