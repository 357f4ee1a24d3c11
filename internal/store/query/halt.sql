-- name: Halt :one
SELECT * FROM halt WHERE one = 1;

-- name: SwapHalt :execrows
UPDATE halt SET reason = @reason, since = @since, rev = rev + 1 WHERE one = 1 AND rev = @rev;
