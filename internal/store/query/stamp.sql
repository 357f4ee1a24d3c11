-- name: Stamp :one
SELECT text FROM stamp WHERE one = 1;

-- name: SaveStamp :exec
UPDATE stamp SET text = @text WHERE one = 1;
