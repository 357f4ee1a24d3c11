-- name: AddUser :exec
INSERT INTO person (
    id, email, name, language, operator, password, totp, totp_step, recovery, failures, paused_till, verified_at, disabled_at,
    created_at, updated_at, rev
) VALUES (
    @id, @email, @name, @language, @operator, @password, @totp, @totp_step, @recovery, @failures, @paused_till, @verified_at,
    @disabled_at, @created_at, @updated_at, 0
);

-- name: User :one
SELECT * FROM person WHERE id = @id;

-- name: UserByEmail :one
SELECT * FROM person WHERE email = @email;

-- name: Users :many
SELECT * FROM person WHERE id > @id ORDER BY id LIMIT @most;

-- name: SwapUser :execrows
UPDATE person SET
    email = @email, name = @name, language = @language, operator = @operator, password = @password, totp = @totp,
    totp_step = @totp_step, recovery = @recovery, failures = @failures, paused_till = @paused_till, verified_at = @verified_at,
    disabled_at = @disabled_at, updated_at = @updated_at, rev = rev + 1
WHERE id = @id AND rev = @rev;

-- name: AddCredential :exec
INSERT INTO credential (id, user_id, key, data, name, created_at, used_at, rev)
VALUES (@id, @user_id, @key, @data, @name, @created_at, @used_at, 0);

-- name: CredentialByKey :one
SELECT * FROM credential WHERE key = @key;

-- name: Credentials :many
SELECT * FROM credential WHERE user_id = @user_id ORDER BY n LIMIT @most;

-- name: SwapCredential :execrows
UPDATE credential SET data = @data, name = @name, used_at = @used_at, rev = rev + 1 WHERE id = @id AND rev = @rev;

-- name: RemoveCredential :execrows
DELETE FROM credential WHERE id = @id AND rev = @rev;
