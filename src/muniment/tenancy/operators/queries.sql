-- name: operator_key_by_hash$
-- The id of a usable operator key.
SELECT operator_key_id
FROM operator_keys
WHERE hash = :hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: insert_operator_key!
-- Keep a new operator key: its hash and visible prefix, never the key.
INSERT INTO operator_keys (operator_key_id, name, prefix, hash, expires_at)
VALUES (:operator_key_id, :name, :prefix, :hash, :expires_at);

-- name: list_operator_keys
-- The newest operator keys, also those that are of no use any more.
SELECT operator_key_id, name, prefix, created_at, expires_at, revoked_at
FROM operator_keys
ORDER BY operator_key_id DESC
LIMIT :limit;

-- name: revoke_operator_key^
-- End an operator key that is told by its id or its visible prefix.
UPDATE operator_keys
SET revoked_at = now()
WHERE (operator_key_id::text = :wanted OR prefix = :wanted) AND revoked_at IS NULL
RETURNING operator_key_id, name, prefix, created_at, expires_at, revoked_at;

-- name: list_organizations
-- A page of all organizations, newest first, with what each uses and when it was last active. The
-- page is cut before anything is counted.
WITH page AS MATERIALIZED (
    SELECT org_id, name, tier, created_at, suspended_at, suspended_because
    FROM organizations
    WHERE org_id < :before
        AND (:name::text IS NULL OR position(lower(:name) IN lower(name)) > 0)
        AND (:tier::text IS NULL OR tier = :tier)
        AND (:suspended::boolean IS NULL OR (suspended_at IS NOT NULL) = :suspended)
    ORDER BY org_id DESC
    LIMIT :limit
)
SELECT
    page.org_id, page.name, page.tier, page.created_at, page.suspended_at,
    page.suspended_because,
    coalesce(used.documents, 0) AS documents,
    coalesce(used.bytes, 0) AS bytes,
    (SELECT count(*) FROM members WHERE members.org_id = page.org_id) AS members,
    greatest(
        -- As an expression that no index has: the planner would walk the last uses of all
        -- organizations from their end.
        (SELECT max(last_used_at + interval '0') FROM api_keys WHERE api_keys.org_id = page.org_id),
        (SELECT max(last_seen_at + interval '0') FROM sessions WHERE sessions.org_id = page.org_id),
        (
            SELECT document.created_at FROM documents AS document
            WHERE document.org_id = page.org_id
            ORDER BY document.document_id DESC
            LIMIT 1
        )
    ) AS last_active_at
FROM page
LEFT JOIN usage AS used ON used.org_id = page.org_id
ORDER BY page.org_id DESC;

-- name: change_organization^
-- Rename an organization or put it into another tier; what is not given stays. Gives both what was
-- and what is, no row when there is no such organization.
WITH known AS (
    SELECT org_id, name, tier FROM organizations WHERE org_id = :org_id FOR UPDATE
)
UPDATE organizations
SET name = coalesce(:name, known.name), tier = coalesce(:tier, known.tier)
FROM known
WHERE organizations.org_id = known.org_id
RETURNING
    known.name AS name_before, known.tier AS tier_before,
    organizations.name, organizations.tier;

-- name: suspend_organization^
-- Suspend an organization, or change why it is; gives the reason that was, no row when there is no
-- such organization.
WITH known AS (
    SELECT org_id, suspended_at, suspended_because
    FROM organizations WHERE org_id = :org_id FOR UPDATE
)
UPDATE organizations
SET suspended_at = coalesce(known.suspended_at, now()), suspended_because = :reason
FROM known
WHERE organizations.org_id = known.org_id
RETURNING known.suspended_at IS NOT NULL AS was_suspended, known.suspended_because AS reason_before;

-- name: resume_organization^
-- Let a suspended organization work again; no row when there is no such organization.
WITH known AS (
    SELECT org_id, suspended_at, suspended_because
    FROM organizations WHERE org_id = :org_id FOR UPDATE
)
UPDATE organizations
SET suspended_at = NULL, suspended_because = NULL
FROM known
WHERE organizations.org_id = known.org_id
RETURNING known.suspended_at IS NOT NULL AS was_suspended, known.suspended_because AS reason_before;
