-- People: users and their sessions, members of organizations, narrower roles, invitations.

CREATE FUNCTION current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('muniment.user_id', true), '')::uuid;
COMMENT ON FUNCTION current_user_id() IS
    'The person of this transaction, set by the unit of work; NULL outside of one.';

CREATE FUNCTION protect_personal_table(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY personal_isolation ON %s'
        ' USING (user_id = current_user_id()) WITH CHECK (user_id = current_user_id())',
        target
    );
END
$$;
COMMENT ON FUNCTION protect_personal_table(regclass) IS
    'Gives a table of persons, who may belong to several organizations, its one policy.';
REVOKE ALL ON FUNCTION protect_personal_table(regclass) FROM PUBLIC;

-- --- persons ---------------------------------------------------------------------------------

CREATE TABLE users (
    user_id uuid NOT NULL PRIMARY KEY,
    email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 320),
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    password_hash text,
    email_verified_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT email_is_taken_once UNIQUE (email)
);
COMMENT ON COLUMN users.password_hash IS
    'Argon2id in its own notation; NULL for somebody who signs in elsewhere only.';
SELECT protect_personal_table('users');

CREATE TABLE identities (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    issuer text NOT NULL CHECK (length(issuer) <= 500),
    subject text NOT NULL CHECK (length(subject) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, issuer, subject),
    CONSTRAINT identity_belongs_to_one UNIQUE (issuer, subject)
);
COMMENT ON TABLE identities IS 'How a person is known to an OpenID provider.';
SELECT protect_personal_table('identities');

CREATE TABLE password_resets (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, token_hash),
    CONSTRAINT reset_token_is_unique UNIQUE (token_hash)
);
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
SELECT protect_personal_table('password_resets');

-- --- members of organizations ----------------------------------------------------------------

CREATE TABLE members (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    email text NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, user_id)
);
COMMENT ON COLUMN members.email IS
    'As in users, which other members cannot read; kept in step when it changes there.';
CREATE INDEX members_by_user ON members (user_id);
CREATE INDEX members_by_email ON members (org_id, email);
CREATE INDEX members_who_own ON members (org_id) WHERE role = 'owner';
SELECT protect_tenant_table('members');

-- The last owner can neither leave nor be demoted. Two who try at the same moment wait for each
-- other at their organization's row; each statement here then sees what the other committed.
CREATE FUNCTION keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    PERFORM FROM organizations WHERE org_id = old.org_id FOR NO KEY UPDATE;
    -- Where the organization itself is gone, its members go with it.
    IF found AND NOT EXISTS (
        SELECT FROM members WHERE org_id = old.org_id AND role = 'owner'
    ) THEN
        RAISE check_violation USING
            CONSTRAINT = 'organization_keeps_an_owner',
            MESSAGE = 'an organization keeps at least one owner';
    END IF;
    RETURN NULL;
END
$$;
ALTER FUNCTION keep_an_owner() OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION keep_an_owner() FROM PUBLIC;
CREATE TRIGGER organization_keeps_an_owner AFTER DELETE OR UPDATE OF role ON members
    FOR EACH ROW WHEN (old.role = 'owner') EXECUTE FUNCTION keep_an_owner();

CREATE TABLE workspace_roles (
    org_id uuid NOT NULL,
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin')),
    PRIMARY KEY (org_id, workspace_id, user_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE,
    FOREIGN KEY (org_id, user_id) REFERENCES members ON DELETE CASCADE
);
COMMENT ON TABLE workspace_roles IS
    'Where a member may do less in one workspace than in the rest of the organization.';
CREATE INDEX workspace_roles_by_member ON workspace_roles (org_id, user_id);
SELECT protect_tenant_table('workspace_roles');

CREATE TABLE invitations (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    invitation_id uuid NOT NULL,
    email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 320),
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    invited_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (org_id, invitation_id)
);
CREATE UNIQUE INDEX invitations_by_token ON invitations (token_hash);
CREATE UNIQUE INDEX one_open_invitation_of_an_address ON invitations (org_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_open ON invitations (org_id, invitation_id)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_of_an_address ON invitations (email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
SELECT protect_tenant_table('invitations');

CREATE TABLE sessions (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    session_id uuid NOT NULL,
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    org_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    address text,
    user_agent text CHECK (length(user_agent) <= 500),
    PRIMARY KEY (user_id, session_id),
    FOREIGN KEY (org_id, user_id) REFERENCES members ON DELETE SET NULL (org_id),
    CONSTRAINT session_token_is_unique UNIQUE (token_hash)
);
COMMENT ON COLUMN sessions.org_id IS
    'The organization that the person works in at the moment; lost with the membership.';
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_organization ON sessions (org_id, user_id);
SELECT protect_personal_table('sessions');

-- --- what must be known before it is known who asks ------------------------------------------

CREATE FUNCTION user_by_email(wanted text)
    RETURNS TABLE (user_id uuid, name text, password_hash text, email_verified_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT user_id, name, password_hash, email_verified_at
    FROM users WHERE email = wanted
    $$;

CREATE FUNCTION session_by_hash(wanted bytea)
    RETURNS TABLE (
        user_id uuid, session_id uuid, org_id uuid, email text, name text,
        created_at timestamptz, last_seen_at timestamptz, expires_at timestamptz
    )
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT
        session.user_id, session.session_id, session.org_id, users.email, users.name,
        session.created_at, session.last_seen_at, session.expires_at
    FROM sessions AS session
    INNER JOIN users ON users.user_id = session.user_id
    WHERE session.token_hash = wanted
    $$;

CREATE FUNCTION reset_by_hash(wanted bytea)
    RETURNS TABLE (user_id uuid, email text, expires_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT reset.user_id, users.email, reset.expires_at
    FROM password_resets AS reset
    INNER JOIN users ON users.user_id = reset.user_id
    WHERE reset.token_hash = wanted
    $$;

CREATE FUNCTION identity_by_subject(wanted_issuer text, wanted_subject text)
    RETURNS TABLE (user_id uuid, email text, name text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT identity.user_id, users.email, users.name
    FROM identities AS identity
    INNER JOIN users ON users.user_id = identity.user_id
    WHERE identity.issuer = wanted_issuer AND identity.subject = wanted_subject
    $$;

CREATE FUNCTION invitation_by_hash(wanted bytea)
    RETURNS TABLE (
        org_id uuid, organization text, invitation_id uuid, email text, role text,
        expires_at timestamptz
    )
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT
        invitation.org_id, organization.name, invitation.invitation_id, invitation.email,
        invitation.role, invitation.expires_at
    FROM invitations AS invitation
    INNER JOIN organizations AS organization ON organization.org_id = invitation.org_id
    WHERE
        invitation.token_hash = wanted
        AND invitation.accepted_at IS NULL AND invitation.revoked_at IS NULL
    $$;

CREATE FUNCTION memberships_of_user()
    RETURNS TABLE (org_id uuid, name text, role text, since timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT member.org_id, organization.name, member.role, member.created_at
    FROM members AS member
    INNER JOIN organizations AS organization ON organization.org_id = member.org_id
    WHERE member.user_id = current_user_id()
    ORDER BY member.org_id
    LIMIT 1000
    $$;
COMMENT ON FUNCTION memberships_of_user() IS
    'Organizations of the person of this transaction: the only look across organizations.';

CREATE FUNCTION invitations_of_user()
    RETURNS TABLE (
        org_id uuid, organization text, invitation_id uuid, role text, expires_at timestamptz
    )
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT
        invitation.org_id, organization.name, invitation.invitation_id, invitation.role,
        invitation.expires_at
    FROM users
    INNER JOIN invitations AS invitation ON invitation.email = users.email
    INNER JOIN organizations AS organization ON organization.org_id = invitation.org_id
    WHERE
        users.user_id = current_user_id() AND users.email_verified_at IS NOT NULL
        AND invitation.accepted_at IS NULL AND invitation.revoked_at IS NULL
        AND invitation.expires_at > now()
    ORDER BY invitation.invitation_id DESC
    LIMIT 100
    $$;
COMMENT ON FUNCTION invitations_of_user() IS
    'Open invitations for the address of the person of this transaction, once that is verified.';

CREATE FUNCTION touch_sessions(hashes bytea[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    UPDATE sessions SET last_seen_at = now()
    WHERE token_hash = ANY (hashes) AND last_seen_at < now() - interval '50 seconds'
    $$;

CREATE FUNCTION rename_current_user(wanted text) RETURNS TABLE (org_id uuid)
    LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    UPDATE users SET name = wanted WHERE user_id = current_user_id();
    UPDATE members SET name = wanted WHERE user_id = current_user_id() RETURNING org_id;
    $$;
COMMENT ON FUNCTION rename_current_user(text) IS
    'Renames the person of this transaction in every organization; returns which.';

CREATE FUNCTION purge_expired_sessions(idle interval) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    WITH gone AS (
        DELETE FROM sessions WHERE (user_id, session_id) IN (
            SELECT user_id, session_id FROM sessions
            WHERE expires_at < now() OR last_seen_at < now() - greatest(idle, interval '15 minutes')
            LIMIT 1000
        )
        RETURNING 1
    ), unused AS (
        DELETE FROM password_resets WHERE (user_id, token_hash) IN (
            SELECT user_id, token_hash FROM password_resets WHERE expires_at < now() LIMIT 1000
        )
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM unused)
    $$;
COMMENT ON FUNCTION purge_expired_sessions(interval) IS
    'Deletes a batch of what has run out and tells how much it was; 0 when nothing is left.';

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'user_by_email(text)', 'session_by_hash(bytea)', 'reset_by_hash(bytea)',
        'identity_by_subject(text, text)', 'invitation_by_hash(bytea)', 'memberships_of_user()',
        'invitations_of_user()',
        'touch_sessions(bytea[])', 'purge_expired_sessions(interval)',
        'rename_current_user(text)'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_app', signature);
    END LOOP;
END
$$;
