-- name: insert_api_key^
-- Keep a new key of the scope's organization: its hash and visible prefix, never the key.
INSERT INTO api_keys (
    org_id, api_key_id, name, prefix, hash, role, workspace_id, expires_at, requests_per_minute,
    created_by
)
VALUES (
    :org_id, :api_key_id, :name, :prefix, :hash, :role, :workspace_id, :expires_at,
    :requests_per_minute, :created_by
)
RETURNING
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by;

-- name: list_api_keys
-- Page through the organization's keys, newest first.
SELECT
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by
FROM api_keys
WHERE org_id = current_org_id() AND api_key_id < :before
ORDER BY api_key_id DESC
LIMIT :limit;

-- name: list_api_keys_by_maker
-- Page through the keys that somebody made, newest first.
SELECT
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by
FROM api_keys
WHERE org_id = current_org_id() AND api_key_id < :before AND created_by = :created_by
ORDER BY api_key_id DESC
LIMIT :limit;

-- name: get_api_key^
-- One key by its id.
SELECT
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by
FROM api_keys
WHERE org_id = current_org_id() AND api_key_id = :api_key_id;

-- name: hold_api_key^
-- One key, which nobody else changes until commit, with the hash that caches know it by.
SELECT
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by, hash,
    coalesce(expires_at <= now(), false) AS expired
FROM api_keys
WHERE org_id = current_org_id() AND api_key_id = :api_key_id
FOR UPDATE;

-- name: change_api_key^
-- Give a key another name or rate limit.
UPDATE api_keys
SET name = :name, requests_per_minute = :requests_per_minute
WHERE org_id = current_org_id() AND api_key_id = :api_key_id
RETURNING
    api_key_id, name, prefix, role, workspace_id, requests_per_minute, created_by, created_at,
    expires_at, last_used_at, revoked_at, replaced_by;

-- name: replace_api_key!
-- End a key for which another was made: at once, or when the overlap is over.
UPDATE api_keys
SET
    replaced_by = :replaced_by,
    revoked_at = CASE WHEN :overlap::interval = interval '0' THEN now() END,
    expires_at = CASE
        WHEN :overlap::interval = interval '0' THEN expires_at
        ELSE least(expires_at, now() + :overlap::interval)
    END
WHERE org_id = current_org_id() AND api_key_id = :api_key_id;

-- name: revoke_api_key!
-- End a key at once.
UPDATE api_keys
SET revoked_at = now()
WHERE org_id = current_org_id() AND api_key_id = :api_key_id;
