-- Roles and extensions. Run by the administrator before every upgrade; safe to repeat.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_owner') THEN
        CREATE ROLE muniment_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_app') THEN
        CREATE ROLE muniment_app LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_operator') THEN
        CREATE ROLE muniment_operator LOGIN BYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_definer') THEN
        -- Owns the few functions that must look past row-level security.
        CREATE ROLE muniment_definer NOLOGIN BYPASSRLS;
    END IF;
    EXECUTE format('GRANT muniment_owner TO %I', current_user);
    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO muniment_owner', current_database());
END
$$;

GRANT muniment_definer TO muniment_owner;
GRANT USAGE, CREATE ON SCHEMA public TO muniment_owner, muniment_definer;
GRANT USAGE ON SCHEMA public TO muniment_app, muniment_operator;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

DO $$
BEGIN
    -- Present on the embedded server and most managed ones; the rest do without.
    CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'pg_stat_statements is not available: %', SQLERRM;
END
$$;
