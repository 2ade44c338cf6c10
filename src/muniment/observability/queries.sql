-- name: schema_revision$
-- The revision that the database has; fails when it was never migrated.
SELECT version_num FROM alembic_version LIMIT 1;

-- name: queue_table$
-- Whether the table that jobs wait in is there.
SELECT to_regclass(:name) IS NOT NULL;
