-- +goose Up

-- What a merchant's first page is made of. Programs of version 2 still run on this schema.
CREATE INDEX invoice_paid ON invoice (merchant_id, paid_at, quote_id, price_currency, price) WHERE paid_at > 0;
CREATE INDEX payout_owed ON payout (merchant_id, id) WHERE state IN ('waiting', 'open', 'paying');
