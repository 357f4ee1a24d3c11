-- +goose Up

-- The coin of the quote that an invoice speaks of, so that a merchant's list is filtered by it within one index. Programs of
-- version 2 leave it as it was, so they do not run on this schema.
UPDATE schema_rule SET oldest = 6;
ALTER TABLE invoice ADD COLUMN coin TEXT NOT NULL DEFAULT '' CHECK (coin IN ('', 'BTC', 'ETH'));
UPDATE invoice SET coin = COALESCE((SELECT q.coin FROM quote q WHERE q.id = invoice.quote_id), '') WHERE quote_id <> '';
DROP INDEX invoice_list;
CREATE INDEX invoice_list ON invoice (merchant_id, id, status, marks, coin, application_id);
