-- name: AddMember :exec
INSERT INTO member (user_id, merchant_id, role, created_at, rev) VALUES (@user_id, @merchant_id, @role, @created_at, 0);

-- name: Member :one
SELECT * FROM member WHERE merchant_id = @merchant_id AND user_id = @user_id;

-- name: Members :many
SELECT * FROM member WHERE merchant_id = @merchant_id AND user_id > @user_id ORDER BY user_id LIMIT @most;

-- name: Memberships :many
SELECT * FROM member WHERE user_id = @user_id AND merchant_id > @merchant_id ORDER BY merchant_id LIMIT @most;

-- name: SwapMember :execrows
UPDATE member SET role = @role, rev = rev + 1 WHERE merchant_id = @merchant_id AND user_id = @user_id AND rev = @rev;

-- name: RemoveMember :execrows
DELETE FROM member WHERE merchant_id = @merchant_id AND user_id = @user_id AND rev = @rev;

-- name: AddLink :exec
INSERT INTO link (
    id, kind, hash, email, language, user_id, merchant_id, role, made_by, created_at, until, used_at, rev
) VALUES (
    @id, @kind, @hash, @email, @language, @user_id, @merchant_id, @role, @made_by, @created_at, @until, @used_at, 0
);

-- name: Link :one
SELECT * FROM link WHERE id = @id;

-- name: LinkByHash :one
SELECT * FROM link WHERE hash = @hash;

-- Those of a merchant that still work, the newest first.
-- name: OpenLinks :many
SELECT * FROM link WHERE merchant_id = @merchant_id AND merchant_id <> '' AND used_at = 0 AND until > @now ORDER BY n DESC LIMIT @most;

-- Those of a kind about a person that still work, the oldest first.
-- name: PersonLinks :many
SELECT * FROM link
WHERE user_id = @user_id AND user_id <> '' AND used_at = 0 AND kind = @kind AND until > @now ORDER BY n LIMIT @most;

-- name: SwapLink :execrows
UPDATE link SET used_at = @used_at, rev = rev + 1 WHERE id = @id AND rev = @rev;

-- name: PruneLinks :execrows
DELETE FROM link WHERE n IN (SELECT l.n FROM link l WHERE l.until < @until ORDER BY l.until LIMIT @most);
