-- +goose Up

-- What was paid, by merchant and hour: hours that are over are added up once, so that a chart of months reads hours and not invoices.
-- All hours before the one in sales_folded are. Programs of version 6 still run on this schema: they add nothing up.
CREATE TABLE sale_hour (
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    hour INTEGER NOT NULL CHECK (hour >= 0),
    coin TEXT NOT NULL CHECK (coin IN ('', 'BTC', 'ETH')),
    price_currency TEXT NOT NULL CHECK (price_currency IN ('KRW', 'USD')),
    total TEXT NOT NULL CHECK (total <> '' AND total NOT GLOB '*[^0-9]*'),
    invoices INTEGER NOT NULL CHECK (invoices > 0),
    PRIMARY KEY (merchant_id, hour, coin, price_currency)
) STRICT;
CREATE INDEX sale_hour_at ON sale_hour (hour, merchant_id, coin, price_currency);

CREATE TABLE sales_folded (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    until_hour INTEGER NOT NULL CHECK (until_hour >= 0),
    rev INTEGER NOT NULL
) STRICT;
INSERT INTO sales_folded (one, until_hour, rev) VALUES (1, 0, 0);

CREATE INDEX invoice_sold ON invoice (paid_at, id) WHERE paid_at > 0;
