-- name: NextBranch :one
SELECT CAST(COALESCE(MAX(branch), 0) + 1 AS BIGINT) AS branch FROM merchant;

-- name: AddMerchant :exec
INSERT INTO merchant (id, name, branch, created_at) VALUES (@id, @name, @branch, @created_at);

-- name: Merchant :one
SELECT * FROM merchant WHERE id = @id;

-- name: Merchants :many
SELECT * FROM merchant WHERE id > @id ORDER BY id LIMIT @most;
