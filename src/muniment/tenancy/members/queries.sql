-- name: list_members
-- A page of members with their narrower roles, in the order in which their accounts were made.
SELECT
    member.user_id, member.name, member.email, member.role, member.created_at,
    (
        SELECT coalesce(
            jsonb_agg(
                jsonb_build_object('workspace_id', narrower.workspace_id, 'role', narrower.role)
                ORDER BY narrower.workspace_id
            ),
            '[]'
        )
        FROM workspace_roles AS narrower
        WHERE
            narrower.org_id = current_org_id() AND narrower.user_id = member.user_id
            AND (:workspace_id::uuid IS NULL OR narrower.workspace_id = :workspace_id)
    ) AS workspace_roles
FROM members AS member
WHERE member.org_id = current_org_id() AND member.user_id > :after
ORDER BY member.user_id
LIMIT :limit;

-- name: get_member^
-- One member with their narrower roles.
SELECT
    member.user_id, member.name, member.email, member.role, member.created_at,
    (
        SELECT coalesce(
            jsonb_agg(
                jsonb_build_object('workspace_id', narrower.workspace_id, 'role', narrower.role)
                ORDER BY narrower.workspace_id
            ),
            '[]'
        )
        FROM workspace_roles AS narrower
        WHERE
            narrower.org_id = current_org_id() AND narrower.user_id = member.user_id
            AND (:workspace_id::uuid IS NULL OR narrower.workspace_id = :workspace_id)
    ) AS workspace_roles
FROM members AS member
WHERE member.org_id = current_org_id() AND member.user_id = :user_id;

-- name: hold_members
-- Keep the roles of two members, who acts and who is acted on, as they are until the commit.
SELECT user_id, email, role
FROM members
WHERE org_id = current_org_id() AND user_id = ANY(:user_ids::uuid[])
ORDER BY user_id
FOR NO KEY UPDATE;

-- name: set_member_role!
-- Give a member another role.
UPDATE members SET role = :role
WHERE org_id = current_org_id() AND user_id = :user_id;

-- name: drop_wider_workspace_roles!
-- Forget a member's roles in workspaces that are not narrower than the role in the organization.
DELETE FROM workspace_roles
WHERE
    org_id = current_org_id() AND user_id = :user_id
    AND NOT (role = ANY(:narrower::text[]));

-- name: delete_member!
-- End a membership; roles in workspaces and the place of sessions go with it.
DELETE FROM members
WHERE org_id = current_org_id() AND user_id = :user_id;

-- name: insert_member$
-- Make a person a member; who is one already stays as they are.
INSERT INTO members (org_id, user_id, email, name, role)
VALUES (:org_id, :user_id, :email, :name, :role)
ON CONFLICT (org_id, user_id) DO NOTHING
RETURNING user_id;

-- name: set_workspace_role^
-- Give a member a role in a workspace; returns what it was there.
WITH former AS (
    SELECT role FROM workspace_roles
    WHERE
        org_id = current_org_id() AND workspace_id = :workspace_id AND user_id = :user_id
)
INSERT INTO workspace_roles (org_id, workspace_id, user_id, role)
VALUES (:org_id, :workspace_id, :user_id, :role)
ON CONFLICT (org_id, workspace_id, user_id) DO UPDATE SET role = excluded.role
RETURNING (SELECT former.role FROM former) AS former;

-- name: delete_workspace_role$
-- Let a member have the role of the organization in a workspace again; returns what it was.
DELETE FROM workspace_roles
WHERE org_id = current_org_id() AND workspace_id = :workspace_id AND user_id = :user_id
RETURNING role;

-- name: list_workspaces
-- A page of workspaces, oldest first.
SELECT workspace_id, name, created_at
FROM workspaces
WHERE org_id = current_org_id() AND workspace_id > :after
ORDER BY workspace_id
LIMIT :limit;

-- name: get_workspace^
-- One workspace.
SELECT workspace_id, name, created_at
FROM workspaces
WHERE org_id = current_org_id() AND workspace_id = :workspace_id;

-- name: insert_workspace^
-- Make a workspace, unless there is one of the name.
INSERT INTO workspaces (org_id, workspace_id, name)
VALUES (:org_id, :workspace_id, :name)
ON CONFLICT ON CONSTRAINT workspace_name_is_unique DO NOTHING
RETURNING workspace_id, name, created_at;

-- name: rename_workspace^
-- Give a workspace another name; returns it with the name that it had.
UPDATE workspaces AS workspace SET name = :name
FROM (
    SELECT workspace_id, name FROM workspaces
    WHERE org_id = current_org_id() AND workspace_id = :workspace_id
    FOR NO KEY UPDATE
) AS former
WHERE workspace.org_id = current_org_id() AND workspace.workspace_id = former.workspace_id
RETURNING workspace.workspace_id, workspace.name, workspace.created_at, former.name AS former;

-- name: hold_workspace^
-- Keep anything from coming into a workspace until the commit.
SELECT workspace_id, name
FROM workspaces
WHERE org_id = current_org_id() AND workspace_id = :workspace_id
FOR UPDATE;

-- name: contents_of_workspace^
-- What keeps a workspace from being deleted.
SELECT
    NOT EXISTS (
        SELECT FROM workspaces AS other
        WHERE other.org_id = current_org_id() AND other.workspace_id <> :workspace_id
    ) AS is_last,
    EXISTS (
        SELECT FROM documents
        WHERE documents.org_id = current_org_id() AND documents.workspace_id = :workspace_id
    ) AS has_documents,
    EXISTS (
        SELECT FROM reconciliations
        WHERE reconciliations.org_id = current_org_id()
            AND reconciliations.workspace_id = :workspace_id
    ) AS has_reconciliations,
    EXISTS (
        SELECT FROM jobs
        WHERE
            jobs.org_id = current_org_id() AND jobs.workspace_id = :workspace_id
            AND jobs.finished_at IS NULL
    ) AS has_jobs;

-- name: delete_keys_of_workspace
-- Delete the API keys that are limited to a workspace, and tell what caches know them by.
DELETE FROM api_keys
WHERE org_id = current_org_id() AND workspace_id = :workspace_id
RETURNING api_key_id, hash;

-- name: delete_workspace!
-- Delete a workspace with its sources, ended jobs and narrower roles.
DELETE FROM workspaces
WHERE org_id = current_org_id() AND workspace_id = :workspace_id;

-- name: list_invitations
-- A page of open invitations, newest first; also those that have expired and can be renewed.
SELECT invitation_id, email, role, invited_by, created_at, expires_at
FROM invitations
WHERE
    org_id = current_org_id() AND accepted_at IS NULL AND revoked_at IS NULL
    AND invitation_id < :before
ORDER BY invitation_id DESC
LIMIT :limit;

-- name: upsert_invitation^
-- Invite an address, or renew its open invitation unless that grants more than the caller may.
INSERT INTO invitations AS open (
    org_id, invitation_id, email, role, token_hash, invited_by, expires_at
)
SELECT
    :org_id::uuid, :invitation_id::uuid, :email::text, :role, :token_hash::bytea, :invited_by,
    now() + :lifetime::interval
WHERE NOT EXISTS (
    SELECT FROM members
    WHERE members.org_id = current_org_id() AND members.email = :email
)
ON CONFLICT (org_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL
DO UPDATE SET
    role = excluded.role, token_hash = excluded.token_hash, invited_by = excluded.invited_by,
    expires_at = excluded.expires_at
WHERE open.role = ANY(:grantable::text[])
RETURNING invitation_id, email, role, invited_by, created_at, expires_at;

-- name: has_member$
-- Tell whether somebody of an address is a member.
SELECT EXISTS (
    SELECT FROM members WHERE org_id = current_org_id() AND email = :email
);

-- name: revoke_invitation^
-- Take back an open invitation unless it grants more than the caller may.
UPDATE invitations SET revoked_at = now()
WHERE
    org_id = current_org_id() AND invitation_id = :invitation_id
    AND accepted_at IS NULL AND revoked_at IS NULL AND role = ANY(:grantable::text[])
RETURNING invitation_id, email, role;

-- name: open_invitation_role$
-- The role that an open invitation grants.
SELECT role FROM invitations
WHERE
    org_id = current_org_id() AND invitation_id = :invitation_id
    AND accepted_at IS NULL AND revoked_at IS NULL;

-- name: invitation_of_token^
-- Find an open invitation by the hash of its token, before the organization is known.
SELECT org_id, organization, invitation_id, email, role, expires_at <= now() AS expired
FROM invitation_by_hash(:token_hash);

-- name: use_invitation^
-- Use up the open invitation of an address; of several who try, one gets what it grants.
UPDATE invitations SET accepted_at = now()
WHERE
    org_id = current_org_id() AND email = :email
    AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > now()
    AND (token_hash = :token_hash::bytea OR invitation_id = :invitation_id::uuid)
RETURNING invitation_id, role;

-- name: organization_name$
-- What the organization calls itself, for those it invites.
SELECT name FROM organizations WHERE org_id = current_org_id();

-- name: invitations_of_person
-- Open invitations for the verified address of the person of the transaction. Bounded by the
-- function, which returns a hundred at most.
SELECT org_id, organization, invitation_id, role, expires_at
FROM invitations_of_user();
