-- name: AddSpend :exec
INSERT INTO spend (
    id, merchant_id, network, source, anchor, state, version, hold, reason, txid, height, block_hash, failed, outflow, fee, turn,
    created_at, updated_at, due_at, sent_at, fence, lease_until, rev
) VALUES (
    @id, @merchant_id, @network, @source, @anchor, @state, @version, @hold, @reason, @txid, @height, @block_hash, @failed,
    @outflow, @fee, @turn, @created_at, @updated_at, @due_at, @sent_at, @fence, @lease_until, @rev
);

-- name: Spend :one
SELECT * FROM spend WHERE id = @id;

-- name: SwapSpend :execrows
UPDATE spend SET
    anchor = @anchor, state = @state, version = @version, hold = @hold, reason = @reason, txid = @txid, height = @height,
    block_hash = @block_hash, failed = @failed, outflow = @outflow, fee = @fee, turn = @turn, updated_at = @updated_at,
    due_at = @due_at, sent_at = @sent_at, lease_until = @lease_until, rev = rev + 1
WHERE id = @id AND rev = @rev;

-- The rows are locked once, before anything is changed: PostgreSQL may run a plain subquery more than once.
-- name: ClaimSpends :many
WITH chosen AS MATERIALIZED (
    SELECT s.n FROM spend s
    WHERE s.network = @network AND s.due_at <= @now AND s.lease_until <= @now AND s.state IN ('planned', 'signed', 'sent')
    ORDER BY s.due_at, s.n LIMIT @most FOR UPDATE SKIP LOCKED
)
UPDATE spend SET lease_until = @lease_until, fence = fence + 1, rev = rev + 1
WHERE spend.n IN (SELECT n FROM chosen)
RETURNING *;

-- name: BlockSpends :many
SELECT * FROM spend WHERE network = @network AND block_hash = @block_hash AND block_hash <> '' ORDER BY n;

-- name: MinedSpends :many
SELECT * FROM spend WHERE network = @network AND id > @id AND state = 'mined' ORDER BY id LIMIT @most;

-- name: TicketSpend :one
SELECT spend.* FROM ticket
JOIN spend ON spend.id = ticket.spend_id
WHERE ticket.network = @network AND ticket.ticket = @ticket AND ticket.held;

-- name: AddTicket :exec
INSERT INTO ticket (network, ticket, spend_id, address, amount, idx, held)
VALUES (@network, @ticket, @spend_id, @address, @amount, @idx, TRUE);

-- name: Tickets :many
SELECT * FROM ticket WHERE spend_id = @spend_id ORDER BY n;

-- name: ReleaseTickets :exec
UPDATE ticket SET held = FALSE WHERE spend_id = @spend_id AND held;

-- name: DropTicket :execrows
DELETE FROM ticket WHERE spend_id = @spend_id AND ticket = @ticket AND held;

-- name: IsHeld :one
SELECT CAST(COUNT(*) AS BIGINT) AS held FROM ticket WHERE network = @network AND ticket = @ticket AND held;
