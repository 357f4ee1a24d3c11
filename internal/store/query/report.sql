-- name: MerchantApplications :many
SELECT * FROM application WHERE merchant_id = @merchant_id AND id > @after ORDER BY id LIMIT @most;

-- Empty and zero conditions match all. The index holds all that is asked of an invoice itself, so that those that do not match
-- are passed by without a look at their rows.
-- name: InvoicePage :many
SELECT i.id, i.application_id, i.order_id, i.order_name, i.price_currency, i.price, i.status, i.deposit_status, i.marks,
    i.created_at, i.paid_at, i.confirmed,
    CAST(COALESCE(q.coin, '') AS TEXT) AS coin, CAST(COALESCE(q.rate, '') AS TEXT) AS rate, q.due,
    CAST(COALESCE((SELECT c.state FROM callback c WHERE c.invoice_id = i.id ORDER BY c.seq DESC LIMIT 1), '') AS TEXT) AS callback
FROM invoice i LEFT JOIN quote q ON q.id = i.quote_id
WHERE i.merchant_id = @merchant_id AND i.id < @before AND i.id >= @since
    AND (CAST(@status AS BIGINT) = 0 OR i.status = CAST(@status AS BIGINT))
    AND (CAST(@marks AS BIGINT) = 0 OR (i.marks & CAST(@marks AS BIGINT)) <> 0)
    AND (CAST(@application_id AS TEXT) = '' OR i.application_id = CAST(@application_id AS TEXT))
    AND (CAST(@coin AS TEXT) = '' OR i.coin = CAST(@coin AS TEXT))
ORDER BY i.id DESC LIMIT @most;

-- name: InvoiceLine :one
SELECT i.id, i.application_id, i.order_id, i.order_name, i.price_currency, i.price, i.status, i.deposit_status, i.marks,
    i.created_at, i.paid_at, i.confirmed,
    CAST(COALESCE(q.coin, '') AS TEXT) AS coin, CAST(COALESCE(q.rate, '') AS TEXT) AS rate, q.due,
    CAST(COALESCE((SELECT c.state FROM callback c WHERE c.invoice_id = i.id ORDER BY c.seq DESC LIMIT 1), '') AS TEXT) AS callback
FROM invoice i LEFT JOIN quote q ON q.id = i.quote_id
WHERE i.merchant_id = @merchant_id AND i.id = @id;

-- How many of each status, counted to most and no further.
-- name: InvoiceCounts :many
SELECT CAST(c.status AS BIGINT) AS status, CAST(COUNT(*) AS BIGINT) AS invoices FROM (
    SELECT i.status FROM invoice i
    WHERE i.merchant_id = @merchant_id AND i.id < @before AND i.id >= @since
        AND (CAST(@marks AS BIGINT) = 0 OR (i.marks & CAST(@marks AS BIGINT)) <> 0)
        AND (CAST(@application_id AS TEXT) = '' OR i.application_id = CAST(@application_id AS TEXT))
        AND (CAST(@coin AS TEXT) = '' OR i.coin = CAST(@coin AS TEXT))
    LIMIT @most
) c GROUP BY c.status;

-- name: OrderInvoices :many
SELECT id FROM invoice WHERE merchant_id = @merchant_id AND order_id = @order_id ORDER BY id DESC LIMIT @most;

-- The transaction comes first: SQLite keeps the order of a cross join, and by itself would begin with all of the merchant's invoices.
-- name: DepositInvoices :many
SELECT DISTINCT i.id FROM deposit d CROSS JOIN invoice i
WHERE d.txid = @txid AND d.txid <> '' AND i.id = d.invoice_id AND i.merchant_id = @merchant_id LIMIT @most;

-- name: PayoutInvoices :many
SELECT DISTINCT i.id FROM payout p CROSS JOIN invoice i
WHERE p.txid = @txid AND p.txid <> '' AND i.id = p.invoice_id AND i.merchant_id = @merchant_id LIMIT @most;

-- The callbacks of an application in a state, the newest first, with what came of the last try. least and utmost bound the tries.
-- name: CallbackPage :many
SELECT sqlc.embed(c), i.order_id, CAST(COALESCE(t.at, 0) AS BIGINT) AS tried_at, CAST(COALESCE(t.took_ms, 0) AS BIGINT) AS took_ms,
    CAST(COALESCE(t.http_status, 0) AS BIGINT) AS http_status, CAST(COALESCE(t.verdict, '') AS TEXT) AS verdict,
    CAST(COALESCE(t.detail, '') AS TEXT) AS detail, t.answer
FROM callback c JOIN invoice i ON i.id = c.invoice_id LEFT JOIN attempt t ON t.callback_id = c.id AND t.number = c.attempts
WHERE c.application_id = @application_id AND c.state = @state AND c.id < @before AND c.id >= @since
    AND c.attempts >= @least AND c.attempts <= @utmost
ORDER BY c.id DESC LIMIT @most;

-- How many callbacks of an application are in a state, counted to few and no further.
-- name: CountCallbacks :one
SELECT CAST(COUNT(*) AS BIGINT) AS callbacks FROM (
    SELECT 1 FROM callback c WHERE c.application_id = @application_id AND c.state = @state LIMIT @few
) d;

-- What came in to a merchant and is confirmed, the newest first, with the last rate at which the invoice offered that coin.
-- name: MovedDeposits :many
SELECT sqlc.embed(d), CAST(COALESCE(i.order_id, '') AS TEXT) AS order_id, CAST(COALESCE(q.rate, '') AS TEXT) AS rate,
    CAST(COALESCE(q.price_currency, '') AS TEXT) AS price_currency, CAST(COALESCE(q.votes, '[]') AS TEXT) AS votes,
    CAST(COALESCE(q.created_at, 0) AS BIGINT) AS rated_at
FROM deposit d LEFT JOIN invoice i ON i.id = d.invoice_id LEFT JOIN quote q ON q.n = (
    SELECT MAX(x.n) FROM quote x WHERE x.invoice_id = d.invoice_id AND x.coin = d.coin
)
WHERE d.id < @before AND d.id >= @since AND d.state = 'confirmed' AND d.spend_id = ''
    AND (i.merchant_id = @merchant_id OR d.account = CAST(@wallet AS TEXT))
ORDER BY d.id DESC LIMIT @most;

-- What went out from a merchant and is done, likewise.
-- name: MovedPayouts :many
SELECT sqlc.embed(p), CAST(COALESCE(i.order_id, '') AS TEXT) AS order_id, CAST(COALESCE(q.rate, '') AS TEXT) AS rate,
    CAST(COALESCE(q.price_currency, '') AS TEXT) AS price_currency, CAST(COALESCE(q.votes, '[]') AS TEXT) AS votes,
    CAST(COALESCE(q.created_at, 0) AS BIGINT) AS rated_at
FROM payout p LEFT JOIN invoice i ON i.id = p.invoice_id LEFT JOIN quote q ON q.n = (
    SELECT MAX(x.n) FROM quote x WHERE x.invoice_id = p.invoice_id AND x.network = p.network
)
WHERE p.merchant_id = @merchant_id AND p.id < @before AND p.id >= @since AND p.state = 'done' AND p.kind <> 'gather'
ORDER BY p.id DESC LIMIT @most;
