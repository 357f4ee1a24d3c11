-- name: AddInvoice :exec
INSERT INTO invoice (
    id, application_id, merchant_id, order_id, order_name, price_currency, price, language, callback_url, open_type,
    redirect_url, policy, accept_late, coins, created_at, refunds, refund_owner,
    cancelled_at, status, deposit_status, marks, quote_id, seen, confirmed, deadline, deposited_at, paid_at, expired_at,
    updated_at, rev
) VALUES (
    @id, @application_id, @merchant_id, @order_id, @order_name, @price_currency, @price, @language, @callback_url, @open_type,
    @redirect_url, @policy, @accept_late, @coins, @created_at, @refunds, @refund_owner,
    @cancelled_at, @status, @deposit_status, @marks, @quote_id, @seen, @confirmed, @deadline, @deposited_at, @paid_at, @expired_at,
    @updated_at, @rev
);

-- name: Invoice :one
SELECT * FROM invoice WHERE id = @id;

-- What an invoice has none of is not asked for again: most have little.
-- name: InvoiceFacts :one
SELECT sqlc.embed(invoice),
    CAST(EXISTS (SELECT 1 FROM quote q WHERE q.invoice_id = invoice.id) AS BOOLEAN) AS quotes,
    CAST(EXISTS (SELECT 1 FROM deposit d WHERE d.invoice_id = invoice.id) AS BOOLEAN) AS deposits,
    CAST(EXISTS (SELECT 1 FROM payout p WHERE p.invoice_id = invoice.id) AS BOOLEAN) AS payouts
FROM invoice WHERE invoice.id = @id;

-- name: SwapInvoice :execrows
UPDATE invoice SET
    refunds = @refunds, refund_owner = @refund_owner, cancelled_at = @cancelled_at, status = @status, deposit_status = @deposit_status, marks = @marks, quote_id = @quote_id,
    seen = @seen, confirmed = @confirmed, deadline = @deadline, deposited_at = @deposited_at, paid_at = @paid_at,
    expired_at = @expired_at, updated_at = @updated_at, rev = rev + 1,
    coin = CAST(COALESCE((SELECT q.coin FROM quote q WHERE q.id = @quote_id), '') AS TEXT)
WHERE invoice.id = @id AND invoice.rev = @rev;

-- name: InvoiceLate :one
SELECT accept_late, deadline FROM invoice WHERE id = @id;

-- The few that are due are found by their deadline and then sorted: an index on id alone would lead through all there are.
-- name: DueInvoices :many
SELECT id FROM invoice WHERE status = 1 AND deadline <= @t AND (id || '') > CAST(@after AS TEXT)
ORDER BY (id || '') LIMIT @most;

-- name: AddQuote :exec
INSERT INTO quote (
    id, invoice_id, coin, network, address, price_currency, rate, due, votes, window_ms, exchange, created_at, deadline
) VALUES (
    @id, @invoice_id, @coin, @network, @address, @price_currency, @rate, @due, @votes, @window_ms, @exchange, @created_at,
    @deadline
);

-- name: Quotes :many
SELECT * FROM quote WHERE invoice_id = @invoice_id ORDER BY n;

-- The row is written even when the note is there already, so that on PostgreSQL a note that is taken back meanwhile is a
-- conflict and not a lost note.
-- name: Stir :exec
INSERT INTO stir (network, invoice_id, turns) VALUES (@network, @invoice_id, 1)
ON CONFLICT (invoice_id, network) DO UPDATE SET turns = stir.turns + 1;

-- name: IsStirred :one
SELECT CAST(COUNT(*) AS BIGINT) AS notes FROM stir WHERE invoice_id = @invoice_id AND network = @network;

-- name: Stirred :many
SELECT invoice_id FROM stir WHERE network = @network ORDER BY n LIMIT @most;

-- name: Calm :exec
DELETE FROM stir WHERE invoice_id = @invoice_id AND network = @network;
