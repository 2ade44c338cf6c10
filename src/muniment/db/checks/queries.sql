-- What the doctor asks the database about itself. They run as the operator.

-- name: tables
-- Our tables with their row-level security and who may do what. Bounded by the schema.
SELECT
    format('%s.%s', place.nspname, relation.relname) AS name,
    pg_get_userbyid(relation.relowner)::text AS owner,
    EXISTS (
        SELECT FROM pg_attribute AS attribute
        WHERE attribute.attrelid = relation.oid AND attribute.attname = 'org_id'
            AND NOT attribute.attisdropped
    ) AS has_org,
    relation.relrowsecurity AS row_security,
    relation.relforcerowsecurity AS forced,
    ARRAY(
        SELECT granted.grantee || '=' || string_agg(granted.privilege, ',' ORDER BY granted.privilege)
        FROM (
            SELECT
                CASE acl.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(acl.grantee)::text END
                    AS grantee,
                acl.privilege_type AS privilege
            FROM aclexplode(relation.relacl) AS acl
            WHERE acl.grantee <> relation.relowner
                AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
        ) AS granted
        GROUP BY granted.grantee
        ORDER BY granted.grantee
    ) AS grants
FROM pg_class AS relation
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE relation.relkind IN ('r', 'p') AND place.nspname IN ('public', 'queue')
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = relation.oid AND deptype = 'e'
    )
ORDER BY 1;

-- name: policies
-- The policies of our tables. Bounded by the schema.
SELECT
    format('%s.%s', place.nspname, relation.relname) AS table_name,
    policy.polname::text AS name,
    CASE policy.polcmd
        WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
        WHEN 'w' THEN 'UPDATE' ELSE 'DELETE'
    END AS command,
    policy.polpermissive AS permissive,
    ARRAY(
        SELECT CASE role WHEN 0 THEN 'public' ELSE pg_get_userbyid(role)::text END AS role
        FROM unnest(policy.polroles) AS role
        ORDER BY role
    ) AS roles,
    pg_get_expr(policy.polqual, policy.polrelid) AS "using",
    pg_get_expr(policy.polwithcheck, policy.polrelid) AS "check"
FROM pg_policy AS policy
JOIN pg_class AS relation ON relation.oid = policy.polrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE place.nspname IN ('public', 'queue')
ORDER BY 1, 2;

-- name: indexes
-- Our indexes, without those that the program makes while it runs. Bounded by the schema.
SELECT
    format('%s.%s', place.nspname, relation.relname) AS "table",
    index_relation.relname::text AS name,
    pg_get_indexdef(entry.indexrelid) AS definition,
    place.nspname::text AS schema,
    EXISTS (
        SELECT FROM pg_constraint
        WHERE conindid = entry.indexrelid AND contype IN ('p', 'u', 'x')
    ) AS constraint
FROM pg_index AS entry
JOIN pg_class AS index_relation ON index_relation.oid = entry.indexrelid
JOIN pg_class AS relation ON relation.oid = entry.indrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE place.nspname IN ('public', 'queue')
    AND index_relation.relname NOT LIKE 'embeddings\_of\_model\_%'
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = relation.oid AND deptype = 'e'
    )
ORDER BY 1, 2;

-- name: constraints
-- The constraints of our tables, but for NOT NULL, which only newer servers list. Bounded by the schema.
SELECT
    format('%s.%s', place.nspname, relation.relname) AS "table",
    bound.conname::text AS name,
    pg_get_constraintdef(bound.oid) AS definition
FROM pg_constraint AS bound
JOIN pg_class AS relation ON relation.oid = bound.conrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE place.nspname IN ('public', 'queue') AND bound.contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY 1, 2;

-- name: triggers
-- The triggers of our tables that are not switched off. Bounded by the schema.
SELECT
    format('%s.%s', place.nspname, relation.relname) AS "table",
    trigger.tgname::text AS name,
    pg_get_triggerdef(trigger.oid) AS definition
FROM pg_trigger AS trigger
JOIN pg_class AS relation ON relation.oid = trigger.tgrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
WHERE place.nspname IN ('public', 'queue') AND NOT trigger.tgisinternal AND trigger.tgenabled <> 'D'
ORDER BY 1, 2;

-- name: functions
-- Our functions, who owns them and who may call them. Bounded by the schema.
SELECT
    format(
        '%s.%s(%s)', place.nspname, routine.proname,
        pg_get_function_identity_arguments(routine.oid)
    ) AS signature,
    pg_get_userbyid(routine.proowner)::text AS owner,
    routine.prosecdef AS definer,
    coalesce(routine.proconfig, '{}') AS settings,
    ARRAY(
        SELECT CASE acl.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(acl.grantee)::text END
        FROM aclexplode(coalesce(routine.proacl, acldefault('f', routine.proowner))) AS acl
        WHERE acl.grantee <> routine.proowner
        ORDER BY 1
    ) AS executors,
    pg_get_functiondef(routine.oid) AS definition
FROM pg_proc AS routine
JOIN pg_namespace AS place ON place.oid = routine.pronamespace
WHERE place.nspname IN ('public', 'queue') AND routine.prokind IN ('f', 'p')
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_proc'::regclass AND objid = routine.oid AND deptype = 'e'
    )
ORDER BY 1;

-- name: index_states
-- Each of our indexes with its table, use, size and whether it is complete. Bounded by the schema.
SELECT
    entry.indexrelid::bigint AS index_id,
    place.nspname::text AS schema,
    relation.relname::text AS "table",
    index_relation.relname::text AS name,
    entry.indisvalid AND entry.indisready AS valid,
    entry.indisunique OR entry.indisexclusion AS is_unique,
    EXISTS (SELECT FROM pg_constraint WHERE conindid = entry.indexrelid) AS constraint,
    coalesce(used.idx_scan, 0) AS scans,
    coalesce(writes.n_tup_ins + writes.n_tup_upd + writes.n_tup_del, 0) AS writes,
    pg_relation_size(entry.indexrelid) AS bytes,
    concat_ws(
        '|', entry.indrelid, method.amname, entry.indkey, entry.indclass, entry.indcollation,
        entry.indoption, pg_get_expr(entry.indexprs, entry.indrelid),
        pg_get_expr(entry.indpred, entry.indrelid)
    ) AS what,
    -- A process that builds it is listed here.
    EXISTS (
        SELECT FROM pg_stat_progress_create_index AS built
        WHERE built.index_relid = entry.indexrelid
    ) AS building
FROM pg_index AS entry
JOIN pg_class AS index_relation ON index_relation.oid = entry.indexrelid
JOIN pg_am AS method ON method.oid = index_relation.relam
JOIN pg_class AS relation ON relation.oid = entry.indrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
LEFT JOIN pg_stat_all_indexes AS used ON used.indexrelid = entry.indexrelid
LEFT JOIN pg_stat_all_tables AS writes ON writes.relid = entry.indrelid
WHERE place.nspname IN ('public', 'queue')
ORDER BY place.nspname, index_relation.relname;

-- name: bloated_indexes
-- B-trees that take several times the pages that their entries need: 8 bytes for an entry's head,
-- 4 for its place and the mean width of its columns, on pages that are filled to nine tenths.
-- What Postgres saves by storing equal keys once is not counted, so the estimate errs upwards.
SELECT
    place.nspname::text AS schema,
    index_relation.relname::text AS name,
    relation.relname::text AS "table",
    pg_relation_size(entry.indexrelid) AS bytes,
    needed.bytes::bigint AS needed
FROM pg_index AS entry
JOIN pg_class AS index_relation ON index_relation.oid = entry.indexrelid
JOIN pg_am AS method ON method.oid = index_relation.relam AND method.amname = 'btree'
JOIN pg_class AS relation ON relation.oid = entry.indrelid
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
CROSS JOIN LATERAL (
    SELECT
        greatest(index_relation.reltuples, 0) * (12 + sum(coalesce(known.avg_width, 32) + 4)) / 0.9
            AS bytes
    FROM unnest(entry.indkey::smallint[]) AS place_of (number)
    JOIN pg_attribute AS attribute
        ON attribute.attrelid = entry.indrelid AND attribute.attnum = place_of.number
    LEFT JOIN pg_stats AS known
        ON known.schemaname = place.nspname AND known.tablename = relation.relname
        AND known.attname = attribute.attname
) AS needed
WHERE place.nspname IN ('public', 'queue') AND entry.indisvalid AND entry.indexprs IS NULL
    AND pg_relation_size(entry.indexrelid) > :least_bytes::bigint
    AND pg_relation_size(entry.indexrelid) > :share::double precision * needed.bytes
ORDER BY bytes DESC
LIMIT 100;

-- name: counted_since$
-- Since when this database has counted what is used; counts outlive the server's restart.
SELECT coalesce(
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
    pg_postmaster_start_time()
);

-- name: roles
-- Our roles and what they could look past. Bounded by the number of names.
SELECT
    role.rolname::text AS name, role.rolsuper AS superuser, role.rolbypassrls AS bypasses,
    role.rolcreaterole AS creates_roles,
    ARRAY(
        SELECT above.rolname::text
        FROM pg_roles AS above
        WHERE above.rolname <> role.rolname AND pg_has_role(role.oid, above.oid, 'MEMBER')
            AND NOT role.rolsuper
        ORDER BY 1
    ) AS member_of,
    (SELECT count(*) FROM pg_class AS owned WHERE owned.relowner = role.oid) AS owned
FROM pg_roles AS role
WHERE role.rolname = ANY (:names::text[])
ORDER BY 1;

-- name: settings
-- Settings of the server, as a new session of this role gets them. Bounded by the number of names.
SELECT name, reset_val AS value
FROM pg_settings
WHERE name = ANY (:names::text[]);

-- name: current_database$
-- The name of this database.
SELECT current_database()::text;

-- name: connections^
-- Connections of clients to the whole server, and how many processes of ours there are to see.
SELECT
    count(*) FILTER (WHERE backend_type = 'client backend') AS clients,
    count(*) FILTER (
        WHERE datname = current_database() AND application_name = 'muniment cache'
    ) AS listeners
FROM pg_stat_activity;

-- name: extensions
-- Extensions that are installed. Bounded by the number of names.
SELECT extname::text AS name, extversion AS version
FROM pg_extension
WHERE extname = ANY (:names::text[]);

-- name: server_version$
-- The version of the server as one number.
SELECT current_setting('server_version_num')::integer;

-- name: clock$
-- What time the server has.
SELECT clock_timestamp();

-- name: buffers^
-- Pages that this database found in memory and those that it had to read.
SELECT blks_hit AS hits, blks_read AS reads
FROM pg_stat_database
WHERE datname = current_database();

-- name: old_transactions
-- Sessions of this database whose transaction is open for long: vacuum removes nothing newer.
SELECT
    pid, usename::text AS role, application_name AS application, state,
    extract(epoch FROM clock_timestamp() - xact_start)::double precision AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND xact_start < clock_timestamp() - make_interval(secs => :seconds::double precision)
ORDER BY xact_start
LIMIT 20;

-- name: table_states
-- Each of our tables with its rows, dead rows, options and when it was looked after. Bounded by the schema.
SELECT
    place.nspname::text AS schema,
    relation.relname::text AS name,
    greatest(relation.reltuples, 0)::bigint AS rows,
    counted.n_live_tup AS live,
    counted.n_dead_tup AS dead,
    counted.n_mod_since_analyze AS modified,
    greatest(counted.last_analyze, counted.last_autoanalyze) AS analyzed_at,
    greatest(counted.last_vacuum, counted.last_autovacuum) AS vacuumed_at,
    age(relation.relfrozenxid) AS age,
    coalesce((
        SELECT string_agg(option, ', ') FROM unnest(relation.reloptions) AS option
        WHERE option IN ('autovacuum_enabled=false', 'autovacuum_enabled=off')
    ), '') AS switched_off
FROM pg_class AS relation
JOIN pg_namespace AS place ON place.oid = relation.relnamespace
JOIN pg_stat_all_tables AS counted ON counted.relid = relation.oid
WHERE relation.relkind = 'r' AND place.nspname IN ('public', 'queue')
ORDER BY 1, 2;

-- name: oldest_row$
-- Transactions since the oldest row of this database that is not frozen.
SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database();

-- name: statement_statistics_present$
-- Whether the server counts statements.
SELECT to_regclass('pg_stat_statements') IS NOT NULL;

-- name: slow_statements
-- Statements of our roles in this database that take long on average, those that cost most first.
SELECT
    counted.userid::bigint AS user_id, counted.dbid::bigint AS database_id,
    counted.queryid AS query_id,
    left(counted.query, 20000) AS text, counted.calls,
    counted.mean_exec_time AS mean_ms, counted.total_exec_time AS total_ms
FROM pg_stat_statements AS counted
WHERE counted.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND counted.userid IN (SELECT oid FROM pg_roles WHERE rolname = ANY (:roles::text[]))
    AND counted.calls >= :least_calls AND counted.mean_exec_time >= :least_ms
ORDER BY counted.total_exec_time DESC
LIMIT 10;

-- name: largest_organization$
-- The organization that most documents or jobs belong to, by the statistics of the planner.
SELECT coalesce(
    (
        SELECT (most_common_vals::text::uuid[])[1]
        FROM pg_stats
        WHERE schemaname = 'public' AND tablename IN ('documents', 'jobs') AND attname = 'org_id'
        ORDER BY tablename
        LIMIT 1
    ),
    (SELECT org_id FROM organizations ORDER BY org_id LIMIT 1)
);

-- name: has_revisions$
-- Whether the database was ever migrated.
SELECT to_regclass('public.alembic_version') IS NOT NULL;

-- name: revision$
-- The revision of the schema.
SELECT version_num FROM alembic_version LIMIT 1;
