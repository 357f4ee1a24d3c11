-- name: AddEntry :one
INSERT INTO entry (key, kind, at) VALUES (@key, @kind, @at) RETURNING n;

-- name: AddPosting :exec
INSERT INTO posting (entry_n, i, source, target, network, amount) VALUES (@entry_n, @i, @source, @target, @network, @amount);

-- name: Balance :one
SELECT * FROM balance WHERE account = @account AND network = @network;

-- name: AddBalance :exec
INSERT INTO balance (account, network, amount, rev) VALUES (@account, @network, @amount, 0);

-- name: SwapBalance :execrows
UPDATE balance SET amount = @amount, rev = rev + 1 WHERE account = @account AND network = @network AND rev = @rev;

-- name: Balances :many
SELECT * FROM balance WHERE account >= @account AND (account > @account OR network > @network)
ORDER BY account, network LIMIT @most;

-- name: Entries :many
SELECT * FROM entry WHERE n > @n ORDER BY n LIMIT @most;

-- name: Postings :many
SELECT * FROM posting WHERE entry_n BETWEEN @low AND @high ORDER BY entry_n, i;
