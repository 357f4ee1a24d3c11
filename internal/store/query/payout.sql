-- name: AddPayout :exec
INSERT INTO payout (
    id, kind, merchant_id, application_id, invoice_id, network, receiver, source, amount, wasted, fee, net, state, hold,
    fail_reason, callback_url, for_id, spend_id, txid, attempt, turn, reserved, created_at, updated_at, due_at, sent_at, done_at,
    rev
) VALUES (
    @id, @kind, @merchant_id, @application_id, @invoice_id, @network, @receiver, @source, @amount, @wasted, @fee, @net, @state,
    @hold, @fail_reason, @callback_url, @for_id, @spend_id, @txid, @attempt, @turn, @reserved, @created_at, @updated_at, @due_at,
    @sent_at, @done_at, @rev
);

-- name: Payout :one
SELECT * FROM payout WHERE id = @id;

-- name: SwapPayout :execrows
UPDATE payout SET
    receiver = @receiver, source = @source, amount = @amount, wasted = @wasted, fee = @fee, net = @net, state = @state,
    hold = @hold, fail_reason = @fail_reason, spend_id = @spend_id, txid = @txid, attempt = @attempt, turn = @turn,
    reserved = @reserved, updated_at = @updated_at, due_at = @due_at, sent_at = @sent_at, done_at = @done_at, rev = rev + 1
WHERE id = @id AND rev = @rev;

-- name: InvoicePayouts :many
SELECT * FROM payout WHERE invoice_id = @invoice_id ORDER BY n;

-- name: DuePayouts :many
SELECT * FROM payout
WHERE network = @network AND state = @state AND due_at <= @t AND state IN ('waiting', 'open', 'paying')
ORDER BY due_at, n LIMIT @most;

-- name: SourcePayouts :many
SELECT * FROM payout
WHERE source = @source AND network = @network AND reserved = @reserved AND source <> '' AND state IN ('open', 'paying')
ORDER BY n LIMIT @most;

-- name: SpendPayouts :many
SELECT * FROM payout WHERE spend_id = @spend_id AND spend_id <> '' ORDER BY n;

-- name: GatherPayouts :many
SELECT * FROM payout WHERE for_id = @for_id AND for_id <> '' ORDER BY n;

-- An empty network matches all; an empty before is the end.
-- name: MerchantPayouts :many
SELECT * FROM payout
WHERE merchant_id = @merchant_id AND id < @before
    AND (CAST(@network AS TEXT) = '' OR network = CAST(@network AS TEXT))
ORDER BY id DESC LIMIT @most;

-- name: MerchantKindPayouts :many
SELECT * FROM payout
WHERE merchant_id = @merchant_id AND kind = @kind AND id < @before
    AND (CAST(@network AS TEXT) = '' OR network = CAST(@network AS TEXT))
ORDER BY id DESC LIMIT @most;
