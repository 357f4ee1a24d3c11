-- name: AddMail :exec
INSERT INTO mail (
    id, recipient, language, kind, sealed, state, attempts, detail, created_at, due_at, lease_until, fence, done_at, link_id
) VALUES (
    @id, @recipient, @language, @kind, @sealed, @state, @attempts, @detail, @created_at, @due_at, @lease_until, @fence, @done_at, @link_id
);

-- name: Mail :one
SELECT * FROM mail WHERE id = @id;

-- name: SwapMail :execrows
UPDATE mail SET
    sealed = @sealed, state = @state, attempts = @attempts, detail = @detail, due_at = @due_at, lease_until = @lease_until,
    done_at = @done_at, fence = fence + 1
WHERE id = @id AND fence = @fence;

-- name: ClaimMails :many
WITH locked AS MATERIALIZED (
    SELECT m.n FROM mail m WHERE m.state = 'open' AND m.due_at <= @now AND m.lease_until <= @now
    ORDER BY m.due_at, m.n LIMIT @most FOR UPDATE SKIP LOCKED
)
UPDATE mail SET lease_until = @lease_until, fence = fence + 1 WHERE mail.n IN (SELECT n FROM locked) RETURNING *;

-- name: ParkedMails :many
SELECT * FROM mail WHERE state = 'parked' AND id < @before ORDER BY id DESC LIMIT @most;

-- name: CountParkedMails :one
SELECT CAST(COUNT(*) AS BIGINT) AS letters FROM (SELECT 1 FROM mail m WHERE m.state = 'parked' LIMIT @most) d;

-- name: CountUnreached :one
SELECT CAST(COUNT(*) AS BIGINT) AS letters FROM (
    SELECT 1 FROM mail m WHERE m.state = 'parked' AND m.recipient = @recipient LIMIT @most
) d;

-- name: LinkMails :many
SELECT * FROM mail WHERE link_id = @link_id AND link_id <> '' ORDER BY id DESC LIMIT @most;

-- name: RemoveMail :execrows
DELETE FROM mail WHERE id = @id AND fence = @fence;

-- name: PruneMails :execrows
DELETE FROM mail WHERE n IN (SELECT m.n FROM mail m WHERE m.state <> 'open' AND m.done_at < @done_at ORDER BY m.done_at LIMIT @most);
