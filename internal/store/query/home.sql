-- What the invoices of a merchant that were paid from a time on come to, by day in a zone, coin and price. Amounts are never added
-- here: equal ones are counted.
-- name: PaidPrices :many
SELECT CAST((i.paid_at + CAST(@zone AS BIGINT)) / 86400000 AS BIGINT) AS day, CAST(COALESCE(q.coin, '') AS TEXT) AS coin,
    i.price_currency, i.price, CAST(COUNT(*) AS BIGINT) AS invoices
FROM invoice i LEFT JOIN quote q ON q.id = i.quote_id
WHERE i.merchant_id = @merchant_id AND i.paid_at > 0 AND i.paid_at >= @since
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 2, 3, 4 LIMIT @most;

-- What a merchant owes or has on its way, gathers apart, the newest first.
-- name: OwedPayouts :many
SELECT * FROM payout WHERE merchant_id = @merchant_id AND state IN ('waiting', 'open', 'paying') AND kind <> 'gather'
ORDER BY id DESC LIMIT @most;
