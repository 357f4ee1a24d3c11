-- +goose Up

-- What lists and searches of merchants are found by. Programs of version 2 still run on this schema.
CREATE INDEX invoice_list ON invoice (merchant_id, id, status, marks, application_id);
CREATE INDEX invoice_order ON invoice (merchant_id, order_id, id);
CREATE INDEX deposit_txid ON deposit (txid) WHERE txid <> '';
CREATE INDEX payout_txid ON payout (txid) WHERE txid <> '';
CREATE INDEX callback_list ON callback (application_id, state, id);
CREATE INDEX application_merchant ON application (merchant_id, id);
