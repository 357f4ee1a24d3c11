-- name: AddAddress :exec
INSERT INTO address (
    network, address, merchant_id, idx, epoch, state, invoice_id, coin, balance, wallet, laden, nonce, hot_until, released_at,
    given_at, rev
) VALUES (
    @network, @address, @merchant_id, @idx, @epoch, @state, @invoice_id, @coin, @balance, @wallet, @laden, @nonce, @hot_until,
    @released_at, @given_at, @rev
);

-- The free address is named once more outside, so that two transactions never give the same one.
-- name: GiveAddress :one
UPDATE address SET
    state = 'given', invoice_id = @invoice_id, hot_until = @hot_until, given_at = @given_at, rev = rev + 1
WHERE state = 'free' AND n = (
    SELECT a.n FROM address a
    WHERE a.merchant_id = @merchant_id AND a.network = @network AND a.state = 'free'
    ORDER BY a.idx LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: Address :one
SELECT * FROM address WHERE network = @network AND address = @address;

-- name: InvoiceAddress :one
SELECT * FROM address WHERE invoice_id = @invoice_id AND network = @network AND state = 'given';

-- name: SwapAddress :execrows
UPDATE address SET
    state = @state, invoice_id = @invoice_id, balance = @balance, wallet = @wallet, laden = @laden, nonce = @nonce,
    hot_until = @hot_until, given_at = @given_at, rev = rev + 1
WHERE network = @network AND address = @address AND rev = @rev;

-- name: HotAddresses :many
SELECT * FROM address WHERE network = @network AND state = 'given' AND hot_until > @t
ORDER BY hot_until DESC, n DESC LIMIT @most;

-- name: Addresses :many
SELECT * FROM address WHERE network = @network AND address > @address ORDER BY address LIMIT @most;

-- Only what its index holds: the watch set reads a minute of them at each look at a network.
-- name: ReleasedSince :many
SELECT released_at, address FROM address
WHERE network = @network AND released_at >= @t AND (released_at > @t OR address > @address)
ORDER BY released_at, address LIMIT @most;

-- name: PoolLevels :many
SELECT
    m.id, m.name, m.branch, m.created_at,
    CAST((SELECT COUNT(*) FROM address f
        WHERE f.merchant_id = m.id AND f.network = @network AND f.state = 'free') AS BIGINT) AS free,
    CAST((SELECT COALESCE(MAX(x.idx), -1) + 1 FROM address x
        WHERE x.merchant_id = m.id AND x.network = @network) AS BIGINT) AS next,
    CAST((SELECT COUNT(*) FROM (SELECT g.n FROM address g
        WHERE g.merchant_id = m.id AND g.network = @network AND g.given_at > 0 LIMIT @count_given) c) AS BIGINT) AS given
FROM merchant m WHERE m.id > @id ORDER BY m.id LIMIT @most;

-- name: KillAddresses :exec
UPDATE address SET state = 'dead', rev = rev + 1 WHERE state = 'free' AND epoch < @epoch;

-- Only given ones are laden, and have a given_at. Their state is not asked for: PostgreSQL would take another index for it,
-- which leads through those of every merchant.
-- name: LadenAddresses :many
SELECT * FROM address
WHERE merchant_id = @merchant_id AND network = @network AND laden AND address > @address ORDER BY address LIMIT @most;

-- name: ReceivingAddress :one
SELECT * FROM address
WHERE merchant_id = @merchant_id AND network = @network AND given_at > 0 AND invoice_id IS NULL
ORDER BY given_at DESC, n DESC LIMIT 1;
