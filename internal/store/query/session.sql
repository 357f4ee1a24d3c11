-- name: AddSession :exec
INSERT INTO session (
    id, hash, user_id, merchant_id, level, created_at, seen_at, until, step_up_till, ip, agent, revoked_at, rev
) VALUES (
    @id, @hash, @user_id, @merchant_id, @level, @created_at, @seen_at, @until, @step_up_till, @ip, @agent, @revoked_at, 0
);

-- name: SessionByHash :one
SELECT * FROM session WHERE hash = @hash;

-- The newest first.
-- name: Sessions :many
SELECT * FROM session WHERE user_id = @user_id AND revoked_at = 0 AND until > @now AND seen_at > @idle ORDER BY n DESC LIMIT @most;

-- name: SwapSession :execrows
UPDATE session SET
    merchant_id = @merchant_id, seen_at = @seen_at, step_up_till = @step_up_till, ip = @ip, agent = @agent,
    revoked_at = @revoked_at, rev = rev + 1
WHERE id = @id AND rev = @rev;

-- name: PruneSessions :execrows
DELETE FROM session WHERE n IN (SELECT s.n FROM session s WHERE s.until < @until ORDER BY s.until LIMIT @most);

-- name: AddChallenge :exec
INSERT INTO challenge (hash, user_id, data, until) VALUES (@hash, @user_id, @data, @until);

-- name: TakeChallenge :one
DELETE FROM challenge WHERE hash = @hash RETURNING *;

-- name: PruneChallenges :execrows
DELETE FROM challenge WHERE hash IN (SELECT c.hash FROM challenge c WHERE c.until < @until ORDER BY c.until LIMIT @most);
