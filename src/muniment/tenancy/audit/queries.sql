-- name: insert_entry!
-- Add an entry to an organization's audit log.
INSERT INTO audit_log (
    org_id, entry_id, at, actor, address, action, target_type, target_id, before, after
)
VALUES (
    :org_id, :entry_id, :at, :actor, :address, :action, :target_type, :target_id, :before, :after
);

-- name: list_entries
-- Page through the audit log, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
ORDER BY entry_id DESC
LIMIT :limit;

-- name: list_entries_by_target
-- Page through what happened to one thing, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
    AND target_id = :target_id
    AND (:actor::text IS NULL OR actor = :actor::text)
    AND (:action::text IS NULL OR action = :action::text)
    AND (:target_type::text IS NULL OR target_type = :target_type::text)
ORDER BY entry_id DESC
LIMIT :limit;

-- name: list_entries_by_actor_and_action
-- Page through one kind of deed of one actor, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
    AND actor = :actor
    AND action = :action
    AND (:target_type::text IS NULL OR target_type = :target_type::text)
ORDER BY entry_id DESC
LIMIT :limit;

-- name: list_entries_by_actor
-- Page through what one actor did, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
    AND actor = :actor
    AND (:target_type::text IS NULL OR target_type = :target_type::text)
ORDER BY entry_id DESC
LIMIT :limit;

-- name: list_entries_by_action
-- Page through one kind of deed, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
    AND action = :action
    AND (:target_type::text IS NULL OR target_type = :target_type::text)
ORDER BY entry_id DESC
LIMIT :limit;

-- name: list_entries_by_target_type
-- Page through what happened to things of one kind, newest first.
SELECT entry_id, at, actor, action, target_type, target_id, address, before, after
FROM audit_log
WHERE org_id = current_org_id()
    AND entry_id < :before AND entry_id >= :since
    AND target_type = :target_type
ORDER BY entry_id DESC
LIMIT :limit;
