-- name: Cursor :one
SELECT * FROM block WHERE network = @network ORDER BY height DESC LIMIT 1;

-- name: RecentBlocks :many
SELECT * FROM block WHERE network = @network ORDER BY height DESC LIMIT @most;

-- name: PushBlock :exec
INSERT INTO block (network, height, hash, parent, time) VALUES (@network, @height, @hash, @parent, @time);

-- name: PopBlock :execrows
DELETE FROM block WHERE network = @network AND height = @height AND hash = @hash;

-- The top block is the cursor and stays whatever is asked.
-- name: PruneBlocks :exec
DELETE FROM block WHERE block.network = @network AND block.height < @below
    AND block.height < (SELECT MAX(b.height) FROM block b WHERE b.network = @network);

-- name: NetworkState :one
SELECT * FROM network_state WHERE network = @network;

-- name: AddNetworkState :exec
INSERT INTO network_state (network, sight, trouble, trouble_since, height, final, genesis, breaker_until, rev)
VALUES (@network, @sight, @trouble, @trouble_since, @height, @final, @genesis, @breaker_until, 1);

-- name: SwapNetworkState :execrows
UPDATE network_state SET
    sight = @sight, trouble = @trouble, trouble_since = @trouble_since, height = @height, final = @final,
    genesis = @genesis, breaker_until = @breaker_until, rev = rev + 1
WHERE network = @network AND rev = @rev;
