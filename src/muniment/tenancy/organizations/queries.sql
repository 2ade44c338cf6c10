-- name: get_organization^
-- The organization of the transaction.
SELECT org_id, name, tier, created_at
FROM organizations
WHERE org_id = current_org_id();

-- name: hold_organization^
-- The organization of the transaction, which nobody else changes until commit.
SELECT org_id, name, tier, created_at
FROM organizations
WHERE org_id = current_org_id()
FOR NO KEY UPDATE;

-- name: rename_organization^
-- Give the organization of the transaction another name.
UPDATE organizations
SET name = :name
WHERE org_id = current_org_id()
RETURNING org_id, name, tier, created_at;
