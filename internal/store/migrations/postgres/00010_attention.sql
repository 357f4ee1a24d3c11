-- +goose Up

-- What waits for a person of a merchant's team: tokens that somebody sent in the place of coins, and that somebody has dealt with
-- what an invoice needed, up to a time. Programs of version 6 still run on this schema.
CREATE TABLE wrong_coin (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    network TEXT COLLATE "C" NOT NULL,
    txid TEXT COLLATE "C" NOT NULL CHECK (txid <> ''),
    seen_at BIGINT NOT NULL CHECK (seen_at > 0),
    UNIQUE (invoice_id, network, txid)
);
CREATE INDEX wrong_coin_merchant ON wrong_coin (merchant_id, n);

CREATE TABLE handled (
    invoice_id TEXT COLLATE "C" PRIMARY KEY REFERENCES invoice (id),
    handled_at BIGINT NOT NULL CHECK (handled_at > 0)
);

CREATE INDEX invoice_marked ON invoice (merchant_id, id) WHERE marks <> 0;
CREATE INDEX payout_failed ON payout (merchant_id, id) WHERE state = 'failed' AND kind = 'asked';
