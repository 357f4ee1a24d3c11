-- +goose Up

-- schema_rule tells programs that are older than the schema whether they may still run on it: a program may when its own
-- version is not below oldest. Each migration sets it.
CREATE TABLE schema_rule (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    oldest INTEGER NOT NULL
) STRICT;
INSERT INTO schema_rule (one, oldest) VALUES (1, 1);

CREATE TABLE merchant (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    name TEXT NOT NULL,
    branch INTEGER NOT NULL UNIQUE CHECK (branch BETWEEN 1 AND 2147483647),
    created_at INTEGER NOT NULL CHECK (created_at > 0)
) STRICT;

CREATE TABLE application (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    name TEXT NOT NULL,
    origins TEXT NOT NULL,
    networks TEXT NOT NULL,
    coins TEXT NOT NULL,
    settlement TEXT NOT NULL,
    settings TEXT NOT NULL,
    callback TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    updated_at INTEGER NOT NULL CHECK (updated_at > 0),
    rev INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    application_id TEXT NOT NULL REFERENCES application (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0)
) STRICT;
CREATE INDEX api_key_application ON api_key (application_id, n);

CREATE TABLE invoice (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    application_id TEXT NOT NULL REFERENCES application (id),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    order_id TEXT NOT NULL,
    order_name TEXT NOT NULL,
    price_currency TEXT NOT NULL CHECK (price_currency IN ('KRW', 'USD')),
    price TEXT NOT NULL CHECK (price <> '' AND price NOT GLOB '*[^0-9]*'),
    language TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    open_type TEXT NOT NULL,
    redirect_url TEXT NOT NULL,
    policy TEXT NOT NULL,
    accept_late INTEGER NOT NULL CHECK (accept_late IN (0, 1)),
    coins TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    refunds TEXT NOT NULL,
    refund_owner BLOB NOT NULL,
    cancelled_at INTEGER NOT NULL CHECK (cancelled_at >= 0),
    status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 4),
    deposit_status INTEGER NOT NULL CHECK (deposit_status BETWEEN 0 AND 2),
    marks INTEGER NOT NULL,
    quote_id TEXT NOT NULL,
    seen TEXT CHECK (seen <> '' AND seen NOT GLOB '*[^0-9]*'),
    confirmed TEXT CHECK (confirmed <> '' AND confirmed NOT GLOB '*[^0-9]*'),
    deadline INTEGER NOT NULL,
    deposited_at INTEGER NOT NULL,
    paid_at INTEGER NOT NULL,
    expired_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL CHECK (updated_at > 0),
    rev INTEGER NOT NULL,
    CHECK (status <> 1 OR (paid_at = 0 AND expired_at = 0)),
    CHECK (status <> 2 OR paid_at > 0),
    CHECK (status <> 3 OR (expired_at > 0 AND paid_at = 0)),
    CHECK (status <> 4 OR paid_at > 0 OR expired_at > 0),
    CHECK ((deposit_status = 1) = (deposited_at > 0))
) STRICT;
CREATE INDEX invoice_due ON invoice (deadline, id) WHERE status = 1;

CREATE TABLE quote (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    network TEXT NOT NULL,
    address TEXT NOT NULL CHECK (address <> ''),
    price_currency TEXT NOT NULL CHECK (price_currency IN ('KRW', 'USD')),
    rate TEXT NOT NULL,
    due TEXT NOT NULL CHECK (due <> '' AND due NOT GLOB '*[^0-9]*'),
    votes TEXT NOT NULL,
    window_ms INTEGER NOT NULL CHECK (window_ms > 0),
    exchange INTEGER NOT NULL CHECK (exchange IN (0, 1)),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    deadline INTEGER NOT NULL CHECK (deadline > created_at)
) STRICT;
CREATE INDEX quote_invoice ON quote (invoice_id, n);

-- stir holds the invoices that must be assessed anew.
CREATE TABLE stir (
    n INTEGER PRIMARY KEY,
    network TEXT NOT NULL,
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    turns INTEGER NOT NULL,
    UNIQUE (invoice_id, network)
) STRICT;
CREATE INDEX stir_network ON stir (network, n);

CREATE TABLE address (
    n INTEGER PRIMARY KEY,
    network TEXT NOT NULL,
    address TEXT NOT NULL CHECK (address <> ''),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    idx INTEGER NOT NULL CHECK (idx >= 0),
    epoch INTEGER NOT NULL CHECK (epoch >= 0),
    state TEXT NOT NULL CHECK (state IN ('free', 'given', 'dead')),
    invoice_id TEXT REFERENCES invoice (id),
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    balance TEXT NOT NULL CHECK (balance <> '' AND balance NOT GLOB '*[^0-9]*'),
    hot_until INTEGER NOT NULL,
    released_at INTEGER NOT NULL CHECK (released_at > 0),
    given_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (network, address),
    UNIQUE (merchant_id, network, idx),
    CHECK ((state = 'given') = (invoice_id IS NOT NULL)),
    CHECK ((state = 'given') = (given_at > 0))
) STRICT;
CREATE UNIQUE INDEX address_invoice ON address (invoice_id, network) WHERE state = 'given';
CREATE INDEX address_free ON address (merchant_id, network, idx) WHERE state = 'free';
CREATE INDEX address_epoch ON address (epoch) WHERE state = 'free';
CREATE INDEX address_hot ON address (network, hot_until) WHERE state = 'given';
CREATE INDEX address_released ON address (network, released_at, address);

CREATE TABLE deposit (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    network TEXT NOT NULL,
    ref TEXT NOT NULL CHECK (ref <> ''),
    address TEXT NOT NULL,
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    amount TEXT NOT NULL CHECK (amount <> '' AND amount NOT GLOB '*[^0-9]*'),
    sender TEXT NOT NULL,
    txid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('seen', 'mined', 'confirmed', 'dropped', 'reversed')),
    seen_at INTEGER NOT NULL CHECK (seen_at > 0),
    pending_at INTEGER NOT NULL,
    spendable INTEGER NOT NULL CHECK (spendable >= 0),
    height INTEGER NOT NULL CHECK (height >= 0),
    block_hash TEXT NOT NULL,
    block_time INTEGER NOT NULL,
    arrived_at INTEGER NOT NULL,
    turn INTEGER NOT NULL CHECK (turn >= 0),
    worth_currency TEXT NOT NULL CHECK (worth_currency IN ('', 'KRW', 'USD')),
    worth TEXT NOT NULL CHECK (worth <> '' AND worth NOT GLOB '*[^0-9]*'),
    unvalued INTEGER NOT NULL CHECK (unvalued IN (0, 1)),
    rev INTEGER NOT NULL,
    UNIQUE (network, ref),
    CHECK ((state IN ('mined', 'confirmed')) = (block_hash <> '')),
    CHECK (state NOT IN ('confirmed', 'reversed') OR turn > 0),
    CHECK (NOT unvalued OR (worth_currency = '' AND state IN ('seen', 'mined', 'confirmed')))
) STRICT;
CREATE INDEX deposit_invoice ON deposit (invoice_id, n);
CREATE INDEX deposit_open ON deposit (network, id) WHERE state IN ('seen', 'mined', 'reversed');
CREATE INDEX deposit_block ON deposit (network, block_hash) WHERE block_hash <> '';
CREATE INDEX deposit_unvalued ON deposit (n) WHERE unvalued;
CREATE INDEX deposit_address ON deposit (network, address);

CREATE TABLE block (
    network TEXT NOT NULL,
    height INTEGER NOT NULL CHECK (height >= 0),
    hash TEXT NOT NULL CHECK (hash <> ''),
    parent TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (network, height)
) STRICT;

CREATE TABLE network_state (
    network TEXT PRIMARY KEY,
    sight INTEGER NOT NULL,
    trouble TEXT NOT NULL,
    trouble_since INTEGER NOT NULL,
    height INTEGER NOT NULL CHECK (height >= 0),
    final INTEGER NOT NULL CHECK (final >= 0),
    genesis TEXT NOT NULL,
    breaker_until INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    CHECK ((trouble = '') = (trouble_since = 0))
) STRICT;

CREATE TABLE entry (
    n INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE CHECK (key <> ''),
    kind TEXT NOT NULL CHECK (kind <> ''),
    at INTEGER NOT NULL CHECK (at > 0)
) STRICT;

CREATE TABLE posting (
    entry_n INTEGER NOT NULL REFERENCES entry (n),
    i INTEGER NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL CHECK (target <> source),
    network TEXT NOT NULL,
    amount TEXT NOT NULL CHECK (amount <> '' AND amount NOT GLOB '*[^0-9]*' AND amount <> '0'),
    PRIMARY KEY (entry_n, i)
) STRICT;

CREATE TABLE balance (
    account TEXT NOT NULL CHECK (account <> 'world'),
    network TEXT NOT NULL,
    amount TEXT NOT NULL CHECK (amount <> '' AND amount NOT GLOB '*[^0-9]*'),
    rev INTEGER NOT NULL,
    PRIMARY KEY (account, network)
) STRICT;

CREATE TABLE event (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    kind TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (at > 0),
    data TEXT NOT NULL
) STRICT;
CREATE INDEX event_invoice ON event (invoice_id, n);
CREATE INDEX event_at ON event (at, id);

CREATE TABLE callback (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT NOT NULL REFERENCES invoice (id),
    application_id TEXT NOT NULL REFERENCES application (id),
    seq INTEGER NOT NULL CHECK (seq > 0),
    url TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin <> ''),
    status INTEGER NOT NULL,
    code INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'delivered', 'parked')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    due_at INTEGER NOT NULL CHECK (due_at > 0),
    lease_until INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    done_at INTEGER NOT NULL,
    UNIQUE (invoice_id, seq),
    CHECK (state <> 'open' OR done_at = 0),
    CHECK (state <> 'delivered' OR done_at > 0)
) STRICT;
CREATE INDEX callback_due ON callback (due_at) WHERE state = 'open';
CREATE INDEX callback_open ON callback (invoice_id, seq) WHERE state = 'open';

CREATE TABLE attempt (
    callback_id TEXT NOT NULL REFERENCES callback (id),
    number INTEGER NOT NULL CHECK (number > 0),
    at INTEGER NOT NULL CHECK (at > 0),
    took_ms INTEGER NOT NULL,
    http_status INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    detail TEXT NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (callback_id, number)
) STRICT;

CREATE TABLE idempotency (
    n INTEGER PRIMARY KEY,
    application_id TEXT NOT NULL REFERENCES application (id),
    key TEXT NOT NULL CHECK (key <> ''),
    digest BLOB NOT NULL,
    made TEXT NOT NULL,
    at INTEGER NOT NULL CHECK (at > 0),
    UNIQUE (application_id, key)
) STRICT;
CREATE INDEX idempotency_at ON idempotency (at);
