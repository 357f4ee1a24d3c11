-- +goose Up

-- schema_rule tells programs that are older than the schema whether they may still run on it: a program may when its own
-- version is not below oldest. Each migration sets it.
CREATE TABLE schema_rule (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    oldest BIGINT NOT NULL
);
INSERT INTO schema_rule (one, oldest) VALUES (1, 1);

CREATE TABLE merchant (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    name TEXT NOT NULL,
    branch BIGINT NOT NULL UNIQUE CHECK (branch BETWEEN 1 AND 2147483647),
    created_at BIGINT NOT NULL CHECK (created_at > 0)
);

CREATE TABLE application (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    name TEXT NOT NULL,
    origins TEXT NOT NULL,
    networks TEXT NOT NULL,
    coins TEXT NOT NULL,
    settlement TEXT NOT NULL,
    settings TEXT NOT NULL,
    callback TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    updated_at BIGINT NOT NULL CHECK (updated_at > 0),
    rev BIGINT NOT NULL
);

CREATE TABLE api_key (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    application_id TEXT COLLATE "C" NOT NULL REFERENCES application (id),
    hash BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    expires_at BIGINT NOT NULL CHECK (expires_at >= 0)
);
CREATE INDEX api_key_application ON api_key (application_id, n);

CREATE TABLE invoice (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    application_id TEXT COLLATE "C" NOT NULL REFERENCES application (id),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    order_id TEXT NOT NULL,
    order_name TEXT NOT NULL,
    price_currency TEXT NOT NULL CHECK (price_currency IN ('KRW', 'USD')),
    price NUMERIC(78, 0) NOT NULL CHECK (price >= 0),
    language TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    open_type TEXT NOT NULL,
    redirect_url TEXT NOT NULL,
    policy TEXT NOT NULL,
    accept_late BOOLEAN NOT NULL,
    coins TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    refunds TEXT NOT NULL,
    refund_owner BYTEA NOT NULL,
    cancelled_at BIGINT NOT NULL CHECK (cancelled_at >= 0),
    status BIGINT NOT NULL CHECK (status BETWEEN 1 AND 4),
    deposit_status BIGINT NOT NULL CHECK (deposit_status BETWEEN 0 AND 2),
    marks BIGINT NOT NULL,
    quote_id TEXT NOT NULL,
    seen NUMERIC(78, 0) CHECK (seen >= 0),
    confirmed NUMERIC(78, 0) CHECK (confirmed >= 0),
    deadline BIGINT NOT NULL,
    deposited_at BIGINT NOT NULL,
    paid_at BIGINT NOT NULL,
    expired_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL CHECK (updated_at > 0),
    rev BIGINT NOT NULL,
    CHECK (status <> 1 OR (paid_at = 0 AND expired_at = 0)),
    CHECK (status <> 2 OR paid_at > 0),
    CHECK (status <> 3 OR (expired_at > 0 AND paid_at = 0)),
    CHECK (status <> 4 OR paid_at > 0 OR expired_at > 0),
    CHECK ((deposit_status = 1) = (deposited_at > 0))
);
CREATE INDEX invoice_due ON invoice (deadline, id) WHERE status = 1;

CREATE TABLE quote (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    network TEXT NOT NULL,
    address TEXT NOT NULL CHECK (address <> ''),
    price_currency TEXT NOT NULL CHECK (price_currency IN ('KRW', 'USD')),
    rate TEXT NOT NULL,
    due NUMERIC(78, 0) NOT NULL CHECK (due >= 0),
    votes TEXT NOT NULL,
    window_ms BIGINT NOT NULL CHECK (window_ms > 0),
    exchange BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    deadline BIGINT NOT NULL CHECK (deadline > created_at)
);
CREATE INDEX quote_invoice ON quote (invoice_id, n);

-- stir holds the invoices that must be assessed anew.
CREATE TABLE stir (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network TEXT COLLATE "C" NOT NULL,
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    turns BIGINT NOT NULL,
    UNIQUE (invoice_id, network)
);
CREATE INDEX stir_network ON stir (network, n);

CREATE TABLE address (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL CHECK (address <> ''),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    idx BIGINT NOT NULL CHECK (idx >= 0),
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    state TEXT NOT NULL CHECK (state IN ('free', 'given', 'dead')),
    invoice_id TEXT COLLATE "C" REFERENCES invoice (id),
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    balance NUMERIC(78, 0) NOT NULL CHECK (balance >= 0),
    hot_until BIGINT NOT NULL,
    released_at BIGINT NOT NULL CHECK (released_at > 0),
    given_at BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    UNIQUE (network, address),
    UNIQUE (merchant_id, network, idx),
    CHECK ((state = 'given') = (invoice_id IS NOT NULL)),
    CHECK ((state = 'given') = (given_at > 0))
);
CREATE UNIQUE INDEX address_invoice ON address (invoice_id, network) WHERE state = 'given';
CREATE INDEX address_free ON address (merchant_id, network, idx) WHERE state = 'free';
CREATE INDEX address_epoch ON address (epoch) WHERE state = 'free';
CREATE INDEX address_hot ON address (network, hot_until) WHERE state = 'given';
CREATE INDEX address_released ON address (network, released_at, address);

CREATE TABLE deposit (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    network TEXT COLLATE "C" NOT NULL,
    ref TEXT COLLATE "C" NOT NULL CHECK (ref <> ''),
    address TEXT COLLATE "C" NOT NULL,
    coin TEXT NOT NULL CHECK (coin IN ('BTC', 'ETH')),
    amount NUMERIC(78, 0) NOT NULL CHECK (amount >= 0),
    sender TEXT NOT NULL,
    txid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('seen', 'mined', 'confirmed', 'dropped', 'reversed')),
    seen_at BIGINT NOT NULL CHECK (seen_at > 0),
    pending_at BIGINT NOT NULL,
    spendable BIGINT NOT NULL CHECK (spendable >= 0),
    height BIGINT NOT NULL CHECK (height >= 0),
    block_hash TEXT COLLATE "C" NOT NULL,
    block_time BIGINT NOT NULL,
    arrived_at BIGINT NOT NULL,
    turn BIGINT NOT NULL CHECK (turn >= 0),
    worth_currency TEXT NOT NULL CHECK (worth_currency IN ('', 'KRW', 'USD')),
    worth NUMERIC(78, 0) NOT NULL CHECK (worth >= 0),
    unvalued BOOLEAN NOT NULL,
    rev BIGINT NOT NULL,
    UNIQUE (network, ref),
    CHECK ((state IN ('mined', 'confirmed')) = (block_hash <> '')),
    CHECK (state NOT IN ('confirmed', 'reversed') OR turn > 0),
    CHECK (NOT unvalued OR (worth_currency = '' AND state IN ('seen', 'mined', 'confirmed')))
);
CREATE INDEX deposit_invoice ON deposit (invoice_id, n);
CREATE INDEX deposit_open ON deposit (network, id) WHERE state IN ('seen', 'mined', 'reversed');
CREATE INDEX deposit_block ON deposit (network, block_hash) WHERE block_hash <> '';
CREATE INDEX deposit_unvalued ON deposit (n) WHERE unvalued;
CREATE INDEX deposit_address ON deposit (network, address);

CREATE TABLE block (
    network TEXT COLLATE "C" NOT NULL,
    height BIGINT NOT NULL CHECK (height >= 0),
    hash TEXT NOT NULL CHECK (hash <> ''),
    parent TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (network, height)
);

CREATE TABLE network_state (
    network TEXT COLLATE "C" PRIMARY KEY,
    sight BIGINT NOT NULL,
    trouble TEXT NOT NULL,
    trouble_since BIGINT NOT NULL,
    height BIGINT NOT NULL CHECK (height >= 0),
    final BIGINT NOT NULL CHECK (final >= 0),
    genesis TEXT NOT NULL,
    breaker_until BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    CHECK ((trouble = '') = (trouble_since = 0))
);

CREATE TABLE entry (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key TEXT COLLATE "C" NOT NULL UNIQUE CHECK (key <> ''),
    kind TEXT NOT NULL CHECK (kind <> ''),
    at BIGINT NOT NULL CHECK (at > 0)
);

CREATE TABLE posting (
    entry_n BIGINT NOT NULL REFERENCES entry (n),
    i BIGINT NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL CHECK (target <> source),
    network TEXT COLLATE "C" NOT NULL,
    amount NUMERIC(78, 0) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (entry_n, i)
);

CREATE TABLE balance (
    account TEXT COLLATE "C" NOT NULL CHECK (account <> 'world'),
    network TEXT COLLATE "C" NOT NULL,
    amount NUMERIC(78, 0) NOT NULL CHECK (amount >= 0),
    rev BIGINT NOT NULL,
    PRIMARY KEY (account, network)
);

CREATE TABLE event (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    kind TEXT NOT NULL,
    at BIGINT NOT NULL CHECK (at > 0),
    data TEXT NOT NULL
);
CREATE INDEX event_invoice ON event (invoice_id, n);
CREATE INDEX event_at ON event (at, id);

CREATE TABLE callback (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    application_id TEXT COLLATE "C" NOT NULL REFERENCES application (id),
    seq BIGINT NOT NULL CHECK (seq > 0),
    url TEXT NOT NULL,
    origin TEXT COLLATE "C" NOT NULL CHECK (origin <> ''),
    status BIGINT NOT NULL,
    code BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'delivered', 'parked')),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    due_at BIGINT NOT NULL CHECK (due_at > 0),
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    done_at BIGINT NOT NULL,
    UNIQUE (invoice_id, seq),
    CHECK (state <> 'open' OR done_at = 0),
    CHECK (state <> 'delivered' OR done_at > 0)
);
CREATE INDEX callback_due ON callback (due_at) WHERE state = 'open';
CREATE INDEX callback_open ON callback (invoice_id, seq) WHERE state = 'open';

CREATE TABLE attempt (
    callback_id TEXT COLLATE "C" NOT NULL REFERENCES callback (id),
    number BIGINT NOT NULL CHECK (number > 0),
    at BIGINT NOT NULL CHECK (at > 0),
    took_ms BIGINT NOT NULL,
    http_status BIGINT NOT NULL,
    verdict TEXT NOT NULL,
    detail TEXT NOT NULL,
    answer BYTEA NOT NULL,
    PRIMARY KEY (callback_id, number)
);

CREATE TABLE idempotency (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application_id TEXT COLLATE "C" NOT NULL REFERENCES application (id),
    key TEXT COLLATE "C" NOT NULL CHECK (key <> ''),
    digest BYTEA NOT NULL,
    made TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL CHECK (at > 0),
    UNIQUE (application_id, key)
);
CREATE INDEX idempotency_at ON idempotency (at);
