-- name: person_of_identity^
-- Whom a provider's subject belongs to, before it is known who asks.
SELECT user_id, email, name FROM identity_by_subject(:issuer, :subject)
LIMIT 1;

-- name: insert_identity$
-- Let the person of this transaction sign in as a provider's subject, unless that is taken.
INSERT INTO identities (user_id, issuer, subject)
VALUES (current_user_id(), :issuer, :subject)
ON CONFLICT DO NOTHING
RETURNING user_id;

-- name: claim_account$
-- Give an account whose address was never verified to its owner: a password that somebody else
-- may have set is forgotten.
UPDATE users SET password_hash = NULL, email_verified_at = now()
WHERE user_id = current_user_id() AND email_verified_at IS NULL
RETURNING user_id;

-- name: delete_identities!
-- Forget how the person of this transaction is known to providers.
DELETE FROM identities WHERE user_id = current_user_id();

-- name: delete_links!
-- Make all links to set a password of the person of this transaction worthless.
DELETE FROM password_resets WHERE user_id = current_user_id();

-- name: is_invited$
-- Tell whether an invitation waits for the verified address of the person of this transaction.
SELECT EXISTS (SELECT FROM invitations_of_user());
