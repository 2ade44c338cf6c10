-- name: api_key_of_caller^
-- Find a usable key by the hash of its secret, before the organization is known.
SELECT org_id, api_key_id, role, workspace_id, expires_at, requests_per_minute
FROM api_key_of_caller(:hash);

-- name: session_of_caller^
-- Find a session by the hash of its token, before the person is known.
SELECT user_id, session_id, org_id, email, name, last_seen_at, expires_at
FROM session_by_hash(:hash);

-- name: member_of_caller^
-- What a person may do in the organization of the transaction.
SELECT
    role,
    (
        SELECT coalesce(jsonb_object_agg(workspace_id, workspace_roles.role), '{}')
        FROM workspace_roles
        WHERE org_id = current_org_id() AND workspace_roles.user_id = :user_id
    ) AS workspace_roles
FROM members
WHERE org_id = current_org_id() AND user_id = :user_id;

-- name: organization_of_caller^
-- How the organization of the transaction stands.
SELECT name, tier, suspended_at IS NOT NULL AS suspended
FROM organizations
WHERE org_id = current_org_id();

-- name: insert_organization!
-- Create the organization of the scope.
INSERT INTO organizations (org_id, name, tier)
VALUES (:org_id, :name, :tier);

-- name: insert_workspace!
-- Create a workspace; an existing one of the same name stays as it is.
INSERT INTO workspaces (org_id, workspace_id, name)
VALUES (:org_id, :workspace_id, :name)
ON CONFLICT ON CONSTRAINT workspace_name_is_unique DO NOTHING;

-- name: first_organizations
-- The two oldest organizations: none, the only one, or a sign that there are several. Those that
-- an evaluation makes for its own time do not count.
SELECT org_id, name FROM organizations
WHERE name <> 'Evaluation ' || org_id
ORDER BY org_id
LIMIT 2;

-- name: organizations_named
-- Organizations of this name or id, for the operator's `--organization`.
SELECT org_id, name FROM organizations
WHERE name = :wanted OR org_id::text = :wanted
ORDER BY org_id
LIMIT 2;

-- name: lock_first_start!
-- Let one process at a time decide whether this is the first start.
SELECT pg_advisory_xact_lock(7240003);

-- name: oldest_workspace^
-- The workspace that is meant when none is named.
SELECT workspace_id, name FROM workspaces ORDER BY workspace_id LIMIT 1;

-- name: workspace_by_id^
-- One workspace of the organization.
SELECT workspace_id, name FROM workspaces WHERE workspace_id = :workspace_id;

-- name: keys_used_lately
-- Keys of all organizations that were used in the last hour, to know them before they are asked for.
SELECT org_id, api_key_id, role, workspace_id, expires_at, requests_per_minute, hash
FROM api_keys
WHERE revoked_at IS NULL AND last_used_at > now() - interval '1 hour'
ORDER BY last_used_at DESC
LIMIT :limit;

-- name: sessions_seen_lately
-- Sessions that were used in the last hour.
SELECT
    session.user_id, session.session_id, session.org_id, users.email, users.name,
    session.last_seen_at, session.expires_at, session.token_hash
FROM sessions AS session
INNER JOIN users ON users.user_id = session.user_id
WHERE session.last_seen_at > now() - interval '1 hour'
ORDER BY session.last_seen_at DESC
LIMIT :limit;

-- name: organizations_used_lately
-- Organizations whose keys or members were there in the last hour.
SELECT org_id, name, tier, suspended_at IS NOT NULL AS suspended
FROM organizations
WHERE
    org_id IN (SELECT org_id FROM api_keys WHERE last_used_at > now() - interval '1 hour')
    OR org_id IN (SELECT org_id FROM sessions WHERE last_seen_at > now() - interval '1 hour')
ORDER BY org_id DESC
LIMIT :limit;
