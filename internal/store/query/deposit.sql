-- name: AddDeposit :exec
INSERT INTO deposit (
    id, invoice_id, account, spend_id, network, ref, address, coin, amount, sender, txid, state, seen_at, pending_at, spendable,
    height, block_hash, block_time, arrived_at, turn, worth_currency, worth, unvalued, taken, rev
) VALUES (
    @id, @invoice_id, @account, @spend_id, @network, @ref, @address, @coin, @amount, @sender, @txid, @state, @seen_at,
    @pending_at, @spendable, @height, @block_hash, @block_time, @arrived_at, @turn, @worth_currency, @worth, @unvalued, @taken,
    @rev
);

-- name: Deposit :one
SELECT * FROM deposit WHERE network = @network AND ref = @ref;

-- name: Deposits :many
SELECT * FROM deposit WHERE invoice_id = @invoice_id AND spend_id = '' ORDER BY n;

-- name: SwapDeposit :execrows
UPDATE deposit SET
    account = @account, spend_id = @spend_id, sender = @sender, txid = @txid, state = @state, seen_at = @seen_at, pending_at = @pending_at, spendable = @spendable,
    height = @height, block_hash = @block_hash, block_time = @block_time, arrived_at = @arrived_at, turn = @turn,
    worth_currency = @worth_currency, worth = @worth, unvalued = @unvalued, rev = rev + 1
WHERE network = @network AND ref = @ref AND rev = @rev;

-- name: OpenDeposits :many
SELECT * FROM deposit WHERE network = @network AND id > @id AND state IN ('seen', 'mined', 'reversed') ORDER BY id LIMIT @most;

-- name: BlockDeposits :many
SELECT * FROM deposit WHERE network = @network AND block_hash = @block_hash AND block_hash <> '' ORDER BY n;

-- name: UnvaluedDeposits :many
SELECT * FROM deposit WHERE unvalued ORDER BY n LIMIT @most;

-- When an invoice's deadline moves, its deposits come late or in time anew.
-- name: MarkUnvalued :exec
UPDATE deposit SET unvalued = (arrived_at > @deadline)
WHERE invoice_id = @invoice_id AND spend_id = '' AND worth_currency = '' AND state IN ('seen', 'mined', 'confirmed')
    AND unvalued <> (arrived_at > @deadline);

-- name: AddressDeposits :many
SELECT * FROM deposit WHERE network = @network AND address = @address ORDER BY n;

-- name: DepositRefs :many
SELECT n, ref FROM deposit WHERE network = @network AND n > @n ORDER BY n LIMIT @most;

-- name: Coins :many
SELECT n, ref, address, coin, amount FROM deposit
WHERE account = @account AND network = @network AND state = 'confirmed' AND NOT taken AND n > @n
ORDER BY n LIMIT @most;

-- name: TakeCoin :exec
UPDATE deposit SET taken = @taken WHERE network = @network AND ref = @ref;
