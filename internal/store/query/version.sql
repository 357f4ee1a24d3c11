-- name: AddVersion :exec
INSERT INTO version (spend_id, number, network, rate, fee, change, unsigned, raw, txid, shares, made_at, sent_at)
VALUES (@spend_id, @number, @network, @rate, @fee, @change, @unsigned, @raw, @txid, @shares, @made_at, @sent_at);

-- name: SignVersion :execrows
UPDATE version SET raw = @raw, txid = @txid WHERE spend_id = @spend_id AND number = @number AND version.txid = '';

-- name: MarkSent :execrows
UPDATE version SET sent_at = @at WHERE spend_id = @spend_id AND number = @number AND sent_at = 0;

-- name: Version :one
SELECT * FROM version WHERE spend_id = @spend_id AND number = @number;

-- name: Versions :many
SELECT * FROM version WHERE spend_id = @spend_id ORDER BY number;

-- name: TxIDVersion :one
SELECT * FROM version WHERE network = @network AND txid = @txid AND txid <> '' ORDER BY spend_id, number LIMIT 1;
