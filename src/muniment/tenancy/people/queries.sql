-- name: find_user^
-- The user of an address, before it is known who asks.
SELECT user_id, name, password_hash, email_verified_at
FROM user_by_email(:email)
LIMIT 1;

-- name: insert_user$
-- Create the person of this transaction, unless the address is taken.
INSERT INTO users (user_id, email, name, password_hash, email_verified_at)
VALUES (
    current_user_id(), :email, :name, :password_hash,
    CASE WHEN :email_verified::boolean THEN now() END
)
ON CONFLICT ON CONSTRAINT email_is_taken_once DO NOTHING
RETURNING user_id;

-- name: list_memberships
-- The organizations of this person, the oldest first.
SELECT org_id, name, role FROM memberships_of_user() LIMIT 1000;

-- name: insert_member!
-- Make the person of this transaction a member of its organization.
INSERT INTO members (org_id, user_id, email, name, role)
VALUES (:org_id, :user_id, :email, :name, :role);

-- name: update_password!
-- Keep the hash of another password.
UPDATE users SET password_hash = :password_hash WHERE user_id = :user_id;

-- name: replace_password^
-- Keep the hash of another password, unless the old one has been replaced in the meantime.
UPDATE users SET password_hash = :password_hash
WHERE user_id = :user_id AND password_hash = :old_hash
RETURNING user_id;

-- name: password_of_user$
-- What proves that this person is the one who signed up.
SELECT password_hash FROM users WHERE user_id = :user_id LIMIT 1;

-- name: mark_email_verified!
-- Note that the person receives mail under the address.
UPDATE users SET email_verified_at = coalesce(email_verified_at, now())
WHERE user_id = :user_id;

-- name: rename_user
-- Rename this person, also in the lists of members; tells the organizations concerned.
SELECT org_id FROM rename_current_user(:name) LIMIT 1000;

-- name: tokens_of_user
-- What the sessions of a person are cached under.
SELECT token_hash FROM sessions WHERE user_id = :user_id LIMIT 1000;

-- name: insert_session$
-- Open a session and tell when it ends.
INSERT INTO sessions (
    user_id, session_id, token_hash, org_id, expires_at, address, user_agent
)
VALUES (
    :user_id, :session_id, :token_hash, :org_id, now() + :absolute::interval, :address,
    :user_agent
)
RETURNING expires_at;

-- name: delete_oldest_sessions
-- End what is beyond the number of sessions that one person may have.
DELETE FROM sessions
WHERE user_id = :user_id AND session_id IN (
    SELECT session_id FROM sessions
    WHERE user_id = :user_id
    ORDER BY session_id DESC
    OFFSET :keep
)
RETURNING token_hash;

-- name: delete_session
-- End one session of a person.
DELETE FROM sessions
WHERE user_id = :user_id AND session_id = :session_id
RETURNING token_hash;

-- name: delete_sessions
-- End all sessions of a person, or all but one.
DELETE FROM sessions
WHERE user_id = :user_id AND (:keep::uuid IS NULL OR session_id <> :keep::uuid)
RETURNING token_hash;

-- name: move_session
-- Let a session work in another organization of its person.
UPDATE sessions SET org_id = :org_id
WHERE
    user_id = :user_id AND session_id = :session_id
    AND EXISTS (SELECT 1 FROM memberships_of_user() WHERE org_id = :org_id)
RETURNING token_hash;

-- name: session_state^
-- What a session stands at, for its own person.
SELECT org_id, expires_at FROM sessions
WHERE user_id = :user_id AND session_id = :session_id
LIMIT 1;

-- name: list_sessions
-- A page of the sessions that have not ended, newest first.
SELECT session_id, org_id, created_at, last_seen_at, expires_at, address, user_agent
FROM sessions
WHERE
    user_id = :user_id
    AND expires_at > now() AND last_seen_at > now() - :idle::interval
    AND (:after::uuid IS NULL OR session_id < :after::uuid)
ORDER BY session_id DESC
LIMIT :limit;

-- name: purge_expired$
-- Delete a batch of sessions and links that have run out; tells how many.
SELECT purge_expired_sessions(:idle::interval) LIMIT 1;

-- name: insert_reset!
-- Keep the hash of a link to set a password, for an hour.
INSERT INTO password_resets (user_id, token_hash, expires_at)
VALUES (:user_id, :token_hash, now() + :lifetime::interval);

-- name: find_reset^
-- Whose password a link may set, before it is known who asks.
SELECT user_id, email FROM reset_by_hash(:token_hash)
WHERE expires_at > now()
LIMIT 1;

-- name: use_reset^
-- Use a link up: of two who do at once, one finds it gone.
DELETE FROM password_resets
WHERE user_id = :user_id AND token_hash = :token_hash AND expires_at > now()
RETURNING user_id;

-- name: delete_resets!
-- Make all links of a person worthless.
DELETE FROM password_resets WHERE user_id = :user_id;

-- name: touch_sessions^
-- Note that sessions were used just now.
SELECT touch_sessions(:hashes::bytea[]) LIMIT 1;

-- name: touch_api_keys^
-- Note that API keys were used just now.
SELECT touch_api_keys(:ids::uuid[]) LIMIT 1;

-- name: is_member$
-- Whether a person is a member of the organization of this transaction.
SELECT true FROM members WHERE org_id = :org_id AND user_id = :user_id LIMIT 1;
