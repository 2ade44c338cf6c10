-- name: read_usage^
-- What the organization uses and in which tier it is; in a transaction that changed documents also
-- what it used before that.
SELECT
    organization.tier,
    organization.suspended_at IS NOT NULL AS suspended,
    coalesce(used.documents, 0) AS documents,
    coalesce(used.bytes, 0) AS bytes,
    coalesce(
        nullif(split_part(current_setting('muniment.usage_before', true), ' ', 1), '')::bigint,
        used.documents, 0
    ) AS documents_before,
    coalesce(
        nullif(split_part(current_setting('muniment.usage_before', true), ' ', 2), '')::bigint,
        used.bytes, 0
    ) AS bytes_before
FROM organizations AS organization
LEFT JOIN usage AS used ON used.org_id = organization.org_id
WHERE organization.org_id = current_org_id();

-- name: hold_usage^
-- Keep everybody else from changing what the organization uses until this transaction ends.
SELECT hold_usage();

-- name: count_organizations$
-- How many organizations there are, for the progress of a recount.
SELECT count(*) FROM organizations;

-- name: organizations_after
-- The next organizations to recount, in the order of their ids.
SELECT org_id, name
FROM organizations
WHERE org_id > :after AND (:only::uuid IS NULL OR org_id = :only)
ORDER BY org_id
LIMIT :limit;

-- name: hold_counted^
-- What is counted of an organization, held so that its documents stay as they are; no row when the
-- organization is gone.
INSERT INTO usage AS used (org_id)
SELECT org_id FROM organizations WHERE org_id = :org_id
ON CONFLICT (org_id) DO UPDATE SET documents = used.documents
RETURNING documents, bytes;

-- name: count_anew^
-- Count the documents of an organization, and the files of its datasets, and keep the result.
UPDATE usage
SET documents = counted.documents, bytes = counted.bytes
FROM (
    SELECT
        count(*) AS documents,
        (
            coalesce(sum(size_bytes), 0) + (
                SELECT coalesce(sum(part.size_bytes), 0)
                FROM dataset_parts AS part
                WHERE part.org_id = :org_id
            )
        )::bigint AS bytes
    FROM documents
    WHERE org_id = :org_id
) AS counted
WHERE usage.org_id = :org_id
RETURNING usage.documents, usage.bytes;
