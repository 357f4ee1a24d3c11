-- name: Deposits :many
SELECT amount, n + 1 FROM deposit WHERE n > @n ORDER BY n;

-- name: Sum :one want
SELECT SUM(d.amount) FROM deposit d;

-- name: Rich :many want
SELECT * FROM deposit WHERE amount > @low;

-- name: Sorted :many want
SELECT * FROM deposit ORDER BY n, amount;

-- name: SwapDeposit :execrows
UPDATE deposit SET amount = @amount, n = n + 1 WHERE n = @n;

-- name: Raise :execrows want
UPDATE deposit SET amount = amount + @more WHERE n = @n;
