-- Tenant isolation, organizations, workspaces and API keys.

ALTER DEFAULT PRIVILEGES FOR ROLE muniment_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES
    TO muniment_app, muniment_operator, muniment_definer;
ALTER DEFAULT PRIVILEGES FOR ROLE muniment_owner
    GRANT USAGE, SELECT ON SEQUENCES TO muniment_app, muniment_operator, muniment_definer;
GRANT SELECT ON alembic_version TO muniment_app, muniment_operator;

CREATE FUNCTION current_org_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('muniment.org_id', true), '')::uuid;
COMMENT ON FUNCTION current_org_id() IS
    'Organization of this transaction, set by the unit of work; NULL outside of one.';

CREATE FUNCTION protect_tenant_table(target regclass) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format(
        'CREATE POLICY tenant_isolation ON %s'
        ' USING (org_id = current_org_id()) WITH CHECK (org_id = current_org_id())',
        target
    );
END
$$;
COMMENT ON FUNCTION protect_tenant_table(regclass) IS
    'Gives a tenant table its one, join-free policy. Called by migrations.';
REVOKE ALL ON FUNCTION protect_tenant_table(regclass) FROM PUBLIC;

CREATE TABLE organizations (
    org_id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    created_at timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('organizations');

CREATE TABLE workspaces (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    workspace_id uuid NOT NULL,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, workspace_id),
    CONSTRAINT workspace_name_is_unique UNIQUE (org_id, name)
);
SELECT protect_tenant_table('workspaces');

CREATE TABLE api_keys (
    org_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    api_key_id uuid NOT NULL,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    prefix text NOT NULL CHECK (prefix LIKE 'mun\_%'),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    role text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
    workspace_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (org_id, api_key_id),
    FOREIGN KEY (org_id, workspace_id) REFERENCES workspaces ON DELETE CASCADE
);
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);
SELECT protect_tenant_table('api_keys');

-- Only this function may look for a key before the organization is known.
CREATE FUNCTION api_key_by_hash(wanted bytea)
    RETURNS TABLE (org_id uuid, api_key_id uuid, role text, workspace_id uuid, expired boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT org_id, api_key_id, role, workspace_id, coalesce(expires_at <= now(), false)
    FROM api_keys
    WHERE hash = wanted AND revoked_at IS NULL
    LIMIT 1
    $$;
ALTER FUNCTION api_key_by_hash(bytea) OWNER TO muniment_definer;
REVOKE ALL ON FUNCTION api_key_by_hash(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_by_hash(bytea) TO muniment_app;
