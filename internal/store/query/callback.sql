-- name: NextSeq :one
SELECT CAST(COALESCE(MAX(seq), 0) + 1 AS BIGINT) AS seq FROM callback WHERE invoice_id = @invoice_id;

-- name: AddCallback :exec
INSERT INTO callback (
    id, invoice_id, application_id, seq, url, origin, status, code, content_type, body, state, attempts, created_at, due_at,
    lease_until, fence, done_at, payout_id
) VALUES (
    @id, @invoice_id, @application_id, @seq, @url, @origin, @status, @code, @content_type, @body, @state, @attempts,
    @created_at, @due_at, @lease_until, @fence, @done_at, @payout_id
);

-- name: Callback :one
SELECT * FROM callback WHERE id = @id;

-- name: SwapCallback :execrows
UPDATE callback SET
    state = @state, attempts = @attempts, due_at = @due_at, lease_until = @lease_until, done_at = @done_at, fence = fence + 1
WHERE id = @id AND fence = @fence;

-- The first choice cannot lock rows, because it numbers them; the middle one locks them and looks again, and the outermost
-- changes only what it locked. skip is a list of origins, each between spaces: an origin holds none.
-- name: ClaimCallbacks :many
WITH numbered AS (
    SELECT c.n, c.due_at, ROW_NUMBER() OVER (PARTITION BY c.origin ORDER BY c.due_at, c.n) AS place
    FROM callback c
    WHERE c.state = 'open' AND c.due_at <= @now AND c.lease_until <= @now
        AND replace(CAST(@skip AS TEXT), ' ' || c.origin || ' ', '') = CAST(@skip AS TEXT)
        AND NOT EXISTS (
            SELECT 1 FROM callback o WHERE o.state = 'open' AND o.invoice_id = c.invoice_id AND o.seq < c.seq
        )
), chosen AS (
    SELECT n FROM numbered WHERE place <= CAST(@per_origin AS BIGINT) ORDER BY due_at, n LIMIT @most
)
UPDATE callback SET lease_until = @lease_until, fence = fence + 1
WHERE callback.n IN (
    SELECT k.n FROM callback k
    WHERE k.state = 'open' AND k.due_at <= @now AND k.lease_until <= @now AND k.n IN (SELECT n FROM chosen)
    FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: AddAttempt :exec
INSERT INTO attempt (callback_id, number, at, took_ms, http_status, verdict, detail, answer)
VALUES (@callback_id, @number, @at, @took_ms, @http_status, @verdict, @detail, @answer);

-- name: Attempts :many
SELECT * FROM attempt WHERE callback_id = @callback_id ORDER BY number LIMIT @most;

-- name: Callbacks :many
SELECT * FROM callback WHERE invoice_id = @invoice_id ORDER BY seq LIMIT @most;

-- name: OldestDue :one
SELECT due_at FROM callback WHERE state = 'open' ORDER BY due_at LIMIT 1;
