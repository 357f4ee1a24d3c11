-- +goose Up

-- What waits for a person of a merchant's team: tokens that somebody sent in the place of coins, and that somebody has dealt with
-- what an invoice needed, up to a time. Programs of version 6 still run on this schema.
CREATE TABLE wrong_coin (
    n INTEGER PRIMARY KEY,
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    network TEXT NOT NULL,
    txid TEXT NOT NULL CHECK (txid <> ''),
    seen_at INTEGER NOT NULL CHECK (seen_at > 0),
    UNIQUE (invoice_id, network, txid)
) STRICT;
CREATE INDEX wrong_coin_merchant ON wrong_coin (merchant_id, n);

CREATE TABLE handled (
    invoice_id TEXT PRIMARY KEY REFERENCES invoice (id),
    handled_at INTEGER NOT NULL CHECK (handled_at > 0)
) STRICT;

CREATE INDEX invoice_marked ON invoice (merchant_id, id) WHERE marks <> 0;
CREATE INDEX payout_failed ON payout (merchant_id, id) WHERE state = 'failed' AND kind = 'asked';
