-- name: OldestProgram :one
SELECT oldest FROM schema_rule WHERE one = 1;
