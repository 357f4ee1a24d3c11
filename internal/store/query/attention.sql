-- Those with any of some marks, or expired with any of others, that nobody dealt with since they last changed; the newest first.
-- name: MarkedInvoices :many
SELECT i.id, i.status, i.marks FROM invoice i
WHERE i.merchant_id = @merchant_id AND i.marks <> 0
    AND ((i.marks & CAST(@marks AS BIGINT)) <> 0 OR (i.status = 3 AND (i.marks & CAST(@expired AS BIGINT)) <> 0))
    AND NOT EXISTS (SELECT 1 FROM handled h WHERE h.invoice_id = i.id AND h.handled_at >= i.updated_at)
ORDER BY i.id DESC LIMIT @most;

-- Refunds that shops asked for and that failed last, and that nobody dealt with since; the newest first.
-- name: FailedRefunds :many
SELECT p.* FROM payout p
WHERE p.merchant_id = @merchant_id AND p.state = 'failed' AND p.kind = 'asked'
    AND NOT EXISTS (SELECT 1 FROM payout o WHERE o.invoice_id = p.invoice_id AND o.kind = 'asked' AND o.n > p.n)
    AND NOT EXISTS (SELECT 1 FROM handled h WHERE h.invoice_id = p.invoice_id AND h.handled_at >= p.done_at)
ORDER BY p.id DESC LIMIT @most;

-- name: AddWrongCoin :execrows
INSERT INTO wrong_coin (invoice_id, merchant_id, network, txid, seen_at) VALUES (@invoice_id, @merchant_id, @network, @txid, @seen_at)
ON CONFLICT (invoice_id, network, txid) DO NOTHING;

-- Those of a merchant that nobody dealt with since, the newest first.
-- name: WrongCoins :many
SELECT * FROM wrong_coin w
WHERE w.merchant_id = @merchant_id AND NOT EXISTS (SELECT 1 FROM handled h WHERE h.invoice_id = w.invoice_id AND h.handled_at >= w.seen_at)
ORDER BY w.n DESC LIMIT @most;

-- name: InvoiceWrongCoins :many
SELECT * FROM wrong_coin WHERE invoice_id = @invoice_id ORDER BY n LIMIT @most;

-- name: SaveHandled :exec
INSERT INTO handled (invoice_id, handled_at) VALUES (@invoice_id, @handled_at)
ON CONFLICT (invoice_id) DO UPDATE SET handled_at = excluded.handled_at;

-- name: Handled :one
SELECT handled_at FROM handled WHERE invoice_id = @invoice_id;
