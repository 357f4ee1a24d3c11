-- name: AddApplication :exec
INSERT INTO application (
    id, merchant_id, name, origins, networks, coins, settlement, settings, callback, created_at, updated_at, rev
) VALUES (
    @id, @merchant_id, @name, @origins, @networks, @coins, @settlement, @settings, @callback, @created_at, @updated_at, @rev
);

-- name: SwapApplication :execrows
UPDATE application SET
    name = @name, origins = @origins, networks = @networks, coins = @coins, settlement = @settlement,
    settings = @settings, callback = @callback, updated_at = @updated_at, rev = rev + 1
WHERE id = @id AND rev = @rev;

-- name: Application :one
SELECT * FROM application WHERE id = @id;

-- name: Applications :many
SELECT * FROM application WHERE id > @id ORDER BY id LIMIT @most;

-- name: AddKey :exec
INSERT INTO api_key (id, application_id, hash, hint, no_refund, created_at, expires_at)
VALUES (@id, @application_id, @hash, @hint, @no_refund, @created_at, @expires_at);

-- name: KeyByHash :one
SELECT * FROM api_key WHERE hash = @hash;

-- name: Keys :many
SELECT * FROM api_key WHERE application_id = @application_id ORDER BY n;

-- name: ExpireKey :execrows
UPDATE api_key SET expires_at = @expires_at WHERE id = @id;
