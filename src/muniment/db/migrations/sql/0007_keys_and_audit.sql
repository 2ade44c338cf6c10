-- What is known of API keys beside their rights, and the audit log.

ALTER TABLE api_keys
    ADD COLUMN created_by text CHECK (created_by <> '' AND length(created_by) <= 400),
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN requests_per_minute integer CHECK (requests_per_minute > 0),
    ADD COLUMN replaced_by uuid;
COMMENT ON COLUMN api_keys.created_by IS
    'Who made it, as the audit log names them; it outlives the member whom it names.';
COMMENT ON COLUMN api_keys.replaced_by IS 'The key that took its place when it was rotated.';

-- Only this function may look for a key before the organization is known.
CREATE FUNCTION api_key_of_caller(wanted bytea)
    RETURNS TABLE (
        org_id uuid, api_key_id uuid, role text, workspace_id uuid, expires_at timestamptz,
        requests_per_minute integer, last_used_at timestamptz
    )
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    SELECT org_id, api_key_id, role, workspace_id, expires_at, requests_per_minute, last_used_at
    FROM api_keys
    WHERE hash = wanted AND revoked_at IS NULL
    LIMIT 1
    $$;

-- Processes are stopped for an upgrade (docs/operations.md), so nobody calls it any more.
-- squawk-ignore ban-drop-function
DROP FUNCTION api_key_by_hash(bytea);

CREATE FUNCTION touch_api_keys(ids uuid[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    UPDATE api_keys SET last_used_at = now()
    WHERE
        api_key_id = ANY (ids)
        AND (last_used_at IS NULL OR last_used_at < now() - interval '50 seconds')
    $$;
-- Keys are few: the index is there in a moment.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX api_keys_by_id ON api_keys (api_key_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX api_keys_by_maker ON api_keys (org_id, created_by, api_key_id);

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['api_key_of_caller(bytea)', 'touch_api_keys(uuid[])'] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_app', signature);
    END LOOP;
END
$$;

CREATE TABLE audit_log (
    -- No foreign key: deleting the organization would delete what tells who did it.
    org_id uuid NOT NULL,
    entry_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL CHECK (actor <> '' AND length(actor) <= 400),
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    target_type text NOT NULL CHECK (target_type ~ '^[a-z_]+$'),
    target_id text CHECK (target_id <> '' AND length(target_id) <= 400),
    address text CHECK (length(address) <= 400),
    before jsonb,
    after jsonb,
    PRIMARY KEY (org_id, entry_id)
);
COMMENT ON TABLE audit_log IS
    'Who did what to what, from where. Written once: nobody but the owner of the schema may '
    'change or delete an entry.';
CREATE INDEX audit_log_by_actor ON audit_log (org_id, actor, entry_id);
CREATE INDEX audit_log_by_actor_and_action ON audit_log (org_id, actor, action, entry_id);
CREATE INDEX audit_log_by_action ON audit_log (org_id, action, entry_id);
CREATE INDEX audit_log_by_target ON audit_log (org_id, target_id, entry_id);
CREATE INDEX audit_log_by_target_type ON audit_log (org_id, target_type, entry_id);
SELECT protect_tenant_table('audit_log');
REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM muniment_app, muniment_operator, muniment_definer;
