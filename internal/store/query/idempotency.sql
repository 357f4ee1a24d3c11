-- name: Idempotency :one
SELECT * FROM idempotency WHERE application_id = @application_id AND key = @key;

-- name: AddIdempotency :exec
INSERT INTO idempotency (application_id, key, digest, made, at) VALUES (@application_id, @key, @digest, @made, @at);

-- name: PruneIdempotency :execrows
DELETE FROM idempotency WHERE idempotency.n IN (SELECT i.n FROM idempotency i WHERE i.at < @t ORDER BY i.at LIMIT @most);
