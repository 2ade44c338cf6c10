-- Tiers, suspension, what an organization uses, and the keys of operators.

-- Organizations that exist were made by whoever runs the installation; new ones begin small.
ALTER TABLE organizations
    ADD COLUMN tier text NOT NULL DEFAULT 'enterprise'
    CHECK (tier IN ('free', 'pro', 'enterprise')),
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN suspended_because text CHECK (length(suspended_because) <= 1000),
    ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
ALTER TABLE organizations ALTER COLUMN tier SET DEFAULT 'free';

CREATE TABLE usage (
    org_id uuid NOT NULL PRIMARY KEY REFERENCES organizations ON DELETE CASCADE,
    documents bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE usage IS
    'Documents and their original bytes, counted by triggers in the transaction that changes them.';
SELECT protect_tenant_table('usage');
REVOKE INSERT, UPDATE, DELETE ON usage FROM muniment_app;

-- Whoever changes what is counted holds the organization's row of usage until its transaction
-- ends: of transactions that each would fit alone, the second sees what the first has used.
-- The row is locked before any document is, so that two of them never wait for each other; the
-- triggers below see to that for single statements, and transactions that lock documents, or
-- what they refer to, before they change one call it first.
CREATE FUNCTION hold_usage() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
DECLARE
    held record;
BEGIN
    SELECT documents, bytes INTO held
    FROM usage WHERE org_id = current_org_id() FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        INSERT INTO usage (org_id)
        SELECT org_id FROM organizations WHERE org_id = current_org_id()
        ON CONFLICT (org_id) DO NOTHING;
        SELECT documents, bytes INTO held
        FROM usage WHERE org_id = current_org_id() FOR NO KEY UPDATE;
    END IF;
    IF FOUND AND coalesce(current_setting('muniment.usage_before', true), '') = '' THEN
        PERFORM set_config(
            'muniment.usage_before', held.documents || ' ' || held.bytes, true
        );
    END IF;
END
$$;
COMMENT ON FUNCTION hold_usage() IS
    'Locks what the organization of this transaction uses; muniment.usage_before keeps documents '
    'and bytes as they were when the transaction first did so.';

CREATE FUNCTION hold_usage_first() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    PERFORM hold_usage();
    RETURN NULL;
END
$$;

CREATE FUNCTION count_inserted_documents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    INSERT INTO usage AS used (org_id, documents, bytes)
    SELECT org_id, count(*), sum(size_bytes) FROM added GROUP BY org_id ORDER BY org_id
    ON CONFLICT (org_id) DO UPDATE
        SET documents = used.documents + excluded.documents, bytes = used.bytes + excluded.bytes;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_deleted_documents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    UPDATE usage AS used
    SET documents = used.documents - gone.documents, bytes = used.bytes - gone.bytes
    FROM (
        SELECT org_id, count(*) AS documents, sum(size_bytes) AS bytes
        FROM removed GROUP BY org_id
    ) AS gone
    WHERE used.org_id = gone.org_id;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_changed_document() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
BEGIN
    UPDATE usage SET bytes = bytes + new.size_bytes - old.size_bytes WHERE org_id = new.org_id;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'hold_usage()', 'hold_usage_first()', 'count_inserted_documents()',
        'count_deleted_documents()', 'count_changed_document()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO muniment_definer', signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
        -- The owner of a table needs it to create triggers on functions of the definer.
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO muniment_owner', signature);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION hold_usage() TO muniment_app;

CREATE TRIGGER hold_usage BEFORE INSERT OR DELETE OR UPDATE OF size_bytes ON documents
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
-- Deleting these deletes documents.
CREATE TRIGGER hold_usage BEFORE DELETE ON sources
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
CREATE TRIGGER hold_usage BEFORE DELETE ON workspaces
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();
CREATE TRIGGER hold_usage BEFORE DELETE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION hold_usage_first();

CREATE TRIGGER count_inserted AFTER INSERT ON documents
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_documents();
CREATE TRIGGER count_deleted AFTER DELETE ON documents
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_documents();
CREATE TRIGGER count_changed AFTER UPDATE OF size_bytes ON documents
    FOR EACH ROW WHEN (old.size_bytes IS DISTINCT FROM new.size_bytes)
    EXECUTE FUNCTION count_changed_document();

-- What is there is counted once; the owner of the tables is under row-level security too.
SET ROLE muniment_definer;
INSERT INTO usage (org_id, documents, bytes)
SELECT organization.org_id, count(document.document_id), coalesce(sum(document.size_bytes), 0)
FROM organizations AS organization
LEFT JOIN documents AS document ON document.org_id = organization.org_id
GROUP BY organization.org_id;
SET ROLE muniment_owner;

CREATE TABLE operator_keys (
    operator_key_id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
    prefix text NOT NULL CHECK (prefix LIKE 'muo\_%'),
    hash bytea NOT NULL CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT operator_key_hash_is_unique UNIQUE (hash)
);
REVOKE ALL ON operator_keys FROM muniment_app, muniment_definer;
