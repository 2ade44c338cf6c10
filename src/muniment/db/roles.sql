-- Roles and extensions. Run by the administrator before every upgrade; safe to repeat.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_owner') THEN
        CREATE ROLE muniment_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_app') THEN
        CREATE ROLE muniment_app LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muniment_worker') THEN
        -- The application, and what moves the jobs of all organizations.
        CREATE ROLE muniment_worker LOGIN INHERIT;
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
GRANT muniment_app TO muniment_worker;
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

DO $$
BEGIN
    -- What the doctor reads as the operator: statistics of all sessions and statements. Where the
    -- administrator may not grant it, the doctor sees less and says so.
    GRANT pg_read_all_stats TO muniment_operator;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'muniment_operator may not read all statistics: %', SQLERRM;
END
$$;

DO $$
DECLARE
    role_name text;
    limits record;
BEGIN
    -- For statements outside of our transactions, which bring their own limits, and for whoever
    -- else connects with these roles. What an administrator has chosen stays.
    FOREACH role_name IN ARRAY ARRAY['muniment_app', 'muniment_worker', 'muniment_operator'] LOOP
        FOR limits IN VALUES
            ('statement_timeout', '60s'), ('idle_in_transaction_session_timeout', '60s')
        LOOP
            IF NOT EXISTS (
                SELECT FROM pg_db_role_setting AS chosen, unnest(chosen.setconfig) AS setting
                WHERE chosen.setrole = role_name::regrole AND chosen.setdatabase = 0
                    AND setting LIKE limits.column1 || '=%'
            ) THEN
                EXECUTE format('ALTER ROLE %I SET %I = %L', role_name, limits.column1, limits.column2);
            END IF;
        END LOOP;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the time-outs of our roles could not be set: %', SQLERRM;
END
$$;
