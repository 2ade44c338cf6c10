-- name: upsert_source^
-- Connect a source; the same one twice is one source.
INSERT INTO sources (org_id, source_id, workspace_id, type, name, location)
VALUES (current_org_id(), :source_id, :workspace_id, :type, :name, :location)
ON CONFLICT ON CONSTRAINT source_is_connected_once DO UPDATE SET name = excluded.name
RETURNING source_id;

-- name: get_source^
-- One source of the organization.
SELECT source_id, workspace_id, type, name, location
FROM sources
WHERE org_id = current_org_id() AND source_id = :source_id;

-- name: insert_run!
-- Begin a sync run of a source.
INSERT INTO sync_runs (org_id, run_id, source_id)
VALUES (current_org_id(), :run_id, :source_id);

-- name: restart_run!
-- Forget what an interrupted attempt counted of the listing; what it imported stays counted.
UPDATE sync_runs SET found = 0, unreadable = 0
WHERE org_id = current_org_id() AND run_id = :run_id;

-- name: count_batch!
-- Add a batch of the listing to the run.
UPDATE sync_runs
SET found = found + :found,
    added = added + :added,
    changed = changed + :changed,
    unreadable = unreadable + :unreadable
WHERE org_id = current_org_id() AND run_id = :run_id;

-- name: count_removed!
-- Add a batch of forgotten documents to the run.
UPDATE sync_runs SET removed = removed + :removed
WHERE org_id = current_org_id() AND run_id = :run_id;

-- name: finish_run!
-- The source was listed to its end and what is gone there is forgotten.
UPDATE sync_runs SET finished_at = now()
WHERE org_id = current_org_id() AND run_id = :run_id;

-- name: get_run^
-- One sync run with what it found.
SELECT run_id, source_id, started_at, finished_at, found, added, changed, removed, unreadable
FROM sync_runs
WHERE org_id = current_org_id() AND run_id = :run_id;
