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

-- How many are due, counted to few and no further.
-- name: CountDue :one
SELECT CAST(COUNT(*) AS BIGINT) AS due FROM (
    SELECT 1 FROM callback c WHERE c.state = 'open' AND c.due_at <= @now AND c.lease_until <= @now LIMIT @few
) d;

-- One of each origin: its longest due one that may go now. Rows are locked once they are chosen, before anything is changed.
-- skip is a list of origins, each between spaces: an origin holds none. The origins are those of all that is due, for when
-- that is little.
-- name: ClaimCallbacks :many
WITH ready AS MATERIALIZED (
    SELECT d.origin FROM callback d
    WHERE d.state = 'open' AND d.due_at <= @now AND d.lease_until <= @now ORDER BY d.due_at LIMIT @few
), lane AS (
    SELECT DISTINCT ready.origin FROM ready
), head AS MATERIALIZED (
    SELECT (
        SELECT c.n FROM callback c
        WHERE c.state = 'open' AND c.origin = lane.origin AND c.due_at <= @now AND c.lease_until <= @now AND NOT EXISTS (
            SELECT 1 FROM callback o WHERE o.state = 'open' AND o.invoice_id = c.invoice_id AND o.seq < c.seq
        )
        ORDER BY c.due_at, c.n LIMIT 1
    ) AS n
    FROM lane
    WHERE lane.origin IS NOT NULL AND replace(CAST(@skip AS TEXT), ' ' || lane.origin || ' ', '') = CAST(@skip AS TEXT)
), chosen AS MATERIALIZED (
    SELECT k.n FROM head JOIN callback k ON k.n = head.n ORDER BY k.due_at, k.n LIMIT @most
), locked AS MATERIALIZED (
    SELECT l.n FROM callback l WHERE l.n IN (SELECT n FROM chosen) FOR UPDATE SKIP LOCKED
)
UPDATE callback SET lease_until = @lease_until, fence = fence + 1
WHERE callback.n IN (SELECT n FROM locked)
RETURNING *;

-- The same for when much is due: the origins are walked along their index, each by one step, so that a long list of one costs
-- the others nothing.
-- name: ClaimLanes :many
WITH RECURSIVE lane (origin) AS (
    SELECT MIN(c.origin) FROM callback c WHERE c.state = 'open'
    UNION ALL
    SELECT (SELECT MIN(d.origin) FROM callback d WHERE d.state = 'open' AND d.origin > lane.origin)
    FROM lane WHERE lane.origin IS NOT NULL
), head AS MATERIALIZED (
    SELECT (
        SELECT c.n FROM callback c
        WHERE c.state = 'open' AND c.origin = lane.origin AND c.due_at <= @now AND c.lease_until <= @now AND NOT EXISTS (
            SELECT 1 FROM callback o WHERE o.state = 'open' AND o.invoice_id = c.invoice_id AND o.seq < c.seq
        )
        ORDER BY c.due_at, c.n LIMIT 1
    ) AS n
    FROM lane
    WHERE lane.origin IS NOT NULL AND replace(CAST(@skip AS TEXT), ' ' || lane.origin || ' ', '') = CAST(@skip AS TEXT)
), chosen AS MATERIALIZED (
    SELECT k.n FROM head JOIN callback k ON k.n = head.n ORDER BY k.due_at, k.n LIMIT @most
), locked AS MATERIALIZED (
    SELECT l.n FROM callback l WHERE l.n IN (SELECT n FROM chosen) FOR UPDATE SKIP LOCKED
)
UPDATE callback SET lease_until = @lease_until, fence = fence + 1
WHERE callback.n IN (SELECT n FROM locked)
RETURNING *;

-- name: AddAttempt :exec
INSERT INTO attempt (callback_id, number, at, took_ms, http_status, verdict, detail, answer, sent, headers)
VALUES (@callback_id, @number, @at, @took_ms, @http_status, @verdict, @detail, @answer, @sent, @headers);

-- name: Attempts :many
SELECT * FROM attempt WHERE callback_id = @callback_id ORDER BY number LIMIT @most;

-- name: Callbacks :many
SELECT * FROM callback WHERE invoice_id = @invoice_id ORDER BY seq LIMIT @most;

-- name: OldestDue :one
SELECT due_at FROM callback WHERE state = 'open' ORDER BY due_at LIMIT 1;
