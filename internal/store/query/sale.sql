-- name: SalesFolded :one
SELECT until_hour, rev FROM sales_folded WHERE one = 1;

-- name: SwapSalesFolded :execrows
UPDATE sales_folded SET until_hour = @until_hour, rev = rev + 1 WHERE one = 1 AND rev = @rev;

-- The invoices of all merchants that were paid before an end, the first paid first, after one of them.
-- name: Sold :many
SELECT i.id, i.merchant_id, i.paid_at, CAST(COALESCE(q.coin, '') AS TEXT) AS coin, i.price_currency, i.price
FROM invoice i LEFT JOIN quote q ON q.id = i.quote_id
WHERE i.paid_at > 0 AND (i.paid_at, i.id) > (CAST(@after_at AS BIGINT), CAST(@after_id AS TEXT)) AND i.paid_at < CAST(@until AS BIGINT)
ORDER BY i.paid_at, i.id LIMIT @most;

-- name: AddSaleHour :exec
INSERT INTO sale_hour (merchant_id, hour, coin, price_currency, total, invoices)
VALUES (@merchant_id, @hour, @coin, @price_currency, @total, @invoices);

-- name: DropSaleHours :exec
DELETE FROM sale_hour WHERE hour >= @since;

-- name: SaleHours :many
SELECT * FROM sale_hour WHERE merchant_id = @merchant_id AND hour >= @since AND hour < @until
ORDER BY hour DESC, coin, price_currency LIMIT @most;

-- All merchants' sums in order of time, after one of them.
-- name: AllSaleHours :many
SELECT * FROM sale_hour WHERE (hour, merchant_id, coin, price_currency) >
    (CAST(@hour AS BIGINT), CAST(@merchant_id AS TEXT), CAST(@coin AS TEXT), CAST(@price_currency AS TEXT))
ORDER BY hour, merchant_id, coin, price_currency LIMIT @most;
