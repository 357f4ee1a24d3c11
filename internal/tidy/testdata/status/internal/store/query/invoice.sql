-- name: SwapInvoice :execrows
UPDATE invoice SET status = @status WHERE id = @id AND rev = @rev;

-- name: GiveAddress :one
UPDATE address SET state = 'given' WHERE state = 'free' AND n = @n;

-- name: Touch :exec
UPDATE invoice SET seen = @seen WHERE status = 1;

-- name: Force :exec want
UPDATE invoice SET seen = @seen, status = @status WHERE id = @id;
