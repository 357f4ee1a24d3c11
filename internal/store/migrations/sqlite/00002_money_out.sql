-- +goose Up

-- Money out: payouts, the spends that carry them out, their tickets and versions. Deposits may now be a wallet's, change or
-- strays, and addresses a wallet's. SQLite changes a constraint only by building the table anew.
UPDATE schema_rule SET oldest = 2;

CREATE TABLE address_new (
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
    wallet TEXT NOT NULL DEFAULT '0' CHECK (wallet <> '' AND wallet NOT GLOB '*[^0-9]*'),
    -- laden tells whether wallet is above zero: queries compare no amounts.
    laden INTEGER NOT NULL DEFAULT 0 CHECK (laden IN (0, 1)),
    nonce INTEGER NOT NULL DEFAULT 0 CHECK (nonce >= 0),
    hot_until INTEGER NOT NULL,
    released_at INTEGER NOT NULL CHECK (released_at > 0),
    given_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (network, address),
    UNIQUE (merchant_id, network, idx),
    CHECK (state = 'given' OR invoice_id IS NULL),
    CHECK ((state = 'given') = (given_at > 0)),
    CHECK ((laden <> 0) = (wallet <> '0')),
    CHECK (NOT laden OR state = 'given')
) STRICT;
INSERT INTO address_new (
    n, network, address, merchant_id, idx, epoch, state, invoice_id, coin, balance, hot_until, released_at, given_at, rev
) SELECT
    n, network, address, merchant_id, idx, epoch, state, invoice_id, coin, balance, hot_until, released_at, given_at, rev
FROM address ORDER BY n;
DROP TABLE address;
ALTER TABLE address_new RENAME TO address;
CREATE UNIQUE INDEX address_invoice ON address (invoice_id, network) WHERE invoice_id IS NOT NULL;
CREATE INDEX address_free ON address (merchant_id, network, idx) WHERE state = 'free';
CREATE INDEX address_epoch ON address (epoch) WHERE state = 'free';
CREATE INDEX address_hot ON address (network, hot_until) WHERE state = 'given';
CREATE INDEX address_released ON address (network, released_at, address);
CREATE INDEX address_laden ON address (merchant_id, network, address) WHERE laden;
CREATE INDEX address_receiving ON address (merchant_id, network, given_at, n) WHERE given_at > 0 AND invoice_id IS NULL;

CREATE TABLE deposit_new (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    invoice_id TEXT REFERENCES invoice (id),
    account TEXT NOT NULL CHECK (account <> '' AND account <> 'world'),
    spend_id TEXT NOT NULL DEFAULT '',
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
    -- taken tells whether a spend holds the ticket that is its ref, so that coins to spend are found without a look at all
    -- that ever were.
    taken INTEGER NOT NULL DEFAULT 0 CHECK (taken IN (0, 1)),
    rev INTEGER NOT NULL,
    UNIQUE (network, ref),
    CHECK ((state IN ('mined', 'confirmed')) = (block_hash <> '')),
    CHECK (state NOT IN ('confirmed', 'reversed') OR turn > 0),
    CHECK (NOT unvalued OR (worth_currency = '' AND state IN ('seen', 'mined', 'confirmed'))),
    CHECK (NOT unvalued OR (invoice_id IS NOT NULL AND spend_id = ''))
) STRICT;
INSERT INTO deposit_new (
    n, id, invoice_id, account, network, ref, address, coin, amount, sender, txid, state, seen_at, pending_at, spendable, height,
    block_hash, block_time, arrived_at, turn, worth_currency, worth, unvalued, rev
) SELECT
    n, id, invoice_id, 'invoice/' || invoice_id, network, ref, address, coin, amount, sender, txid, state, seen_at, pending_at,
    spendable, height, block_hash, block_time, arrived_at, turn, worth_currency, worth, unvalued, rev
FROM deposit ORDER BY n;
DROP TABLE deposit;
ALTER TABLE deposit_new RENAME TO deposit;
CREATE INDEX deposit_invoice ON deposit (invoice_id, n) WHERE invoice_id IS NOT NULL;
CREATE INDEX deposit_open ON deposit (network, id) WHERE state IN ('seen', 'mined', 'reversed');
CREATE INDEX deposit_block ON deposit (network, block_hash) WHERE block_hash <> '';
CREATE INDEX deposit_unvalued ON deposit (n) WHERE unvalued;
CREATE INDEX deposit_address ON deposit (network, address);
CREATE INDEX deposit_network ON deposit (network, n);
CREATE INDEX deposit_coin ON deposit (account, network, n) WHERE state = 'confirmed' AND NOT taken;

-- A key may be kept from asking for refunds.
ALTER TABLE api_key ADD COLUMN no_refund INTEGER NOT NULL DEFAULT 0 CHECK (no_refund IN (0, 1));

ALTER TABLE callback ADD COLUMN payout_id TEXT NOT NULL DEFAULT '';

-- The lanes of callbacks are walked by origin.
CREATE INDEX callback_lane ON callback (origin, due_at, n) WHERE state = 'open';

CREATE TABLE payout (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    kind TEXT NOT NULL CHECK (kind IN ('settlement', 'asked', 'short', 'excess', 'late', 'withdrawal', 'gather')),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    application_id TEXT REFERENCES application (id),
    invoice_id TEXT REFERENCES invoice (id),
    network TEXT NOT NULL CHECK (network <> ''),
    receiver TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source <> 'world'),
    amount TEXT NOT NULL CHECK (amount <> '' AND amount NOT GLOB '*[^0-9]*'),
    wasted TEXT NOT NULL CHECK (wasted <> '' AND wasted NOT GLOB '*[^0-9]*'),
    fee TEXT NOT NULL CHECK (fee <> '' AND fee NOT GLOB '*[^0-9]*'),
    net TEXT NOT NULL CHECK (net <> '' AND net NOT GLOB '*[^0-9]*'),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'open', 'paying', 'done', 'failed')),
    hold TEXT NOT NULL,
    fail_reason TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    for_id TEXT NOT NULL,
    spend_id TEXT NOT NULL,
    txid TEXT NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    turn INTEGER NOT NULL CHECK (turn >= 0),
    reserved INTEGER NOT NULL CHECK (reserved IN (0, 1)),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    updated_at INTEGER NOT NULL CHECK (updated_at > 0),
    due_at INTEGER NOT NULL CHECK (due_at >= 0),
    sent_at INTEGER NOT NULL CHECK (sent_at >= 0),
    done_at INTEGER NOT NULL CHECK (done_at >= 0),
    rev INTEGER NOT NULL,
    CHECK ((kind IN ('withdrawal', 'gather')) = (invoice_id IS NULL)),
    CHECK ((invoice_id IS NULL) = (application_id IS NULL)),
    CHECK (for_id = '' OR kind = 'gather'),
    CHECK ((state IN ('done', 'failed')) = (done_at > 0)),
    CHECK (state <> 'paying' OR (spend_id <> '' AND receiver <> '')),
    CHECK (NOT reserved OR (source <> '' AND turn > 0)),
    CHECK (state = 'failed' OR fail_reason = '')
) STRICT;
-- A shop that asks twice, and a step that runs twice, owe once.
CREATE UNIQUE INDEX payout_live ON payout (invoice_id, kind, network)
    WHERE invoice_id IS NOT NULL AND state IN ('waiting', 'open', 'paying');
CREATE INDEX payout_invoice ON payout (invoice_id, n) WHERE invoice_id IS NOT NULL;
CREATE INDEX payout_due ON payout (network, state, due_at, n) WHERE state IN ('waiting', 'open', 'paying');
CREATE INDEX payout_source ON payout (source, network, reserved, n) WHERE source <> '' AND state IN ('open', 'paying');
CREATE INDEX payout_spend ON payout (spend_id, n) WHERE spend_id <> '';
CREATE INDEX payout_for ON payout (for_id, n) WHERE for_id <> '';
CREATE INDEX payout_merchant ON payout (merchant_id, id);
CREATE INDEX payout_kind ON payout (merchant_id, kind, id);

CREATE TABLE spend (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    network TEXT NOT NULL CHECK (network <> ''),
    source TEXT NOT NULL CHECK (source <> 'world'),
    anchor TEXT NOT NULL CHECK (anchor <> ''),
    state TEXT NOT NULL CHECK (state IN ('planned', 'signed', 'sent', 'mined', 'done', 'void', 'lost')),
    version INTEGER NOT NULL CHECK (version > 0),
    hold TEXT NOT NULL,
    reason TEXT NOT NULL,
    txid TEXT NOT NULL,
    height INTEGER NOT NULL CHECK (height >= 0),
    block_hash TEXT NOT NULL,
    failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
    outflow TEXT NOT NULL CHECK (outflow <> '' AND outflow NOT GLOB '*[^0-9]*'),
    fee TEXT NOT NULL CHECK (fee <> '' AND fee NOT GLOB '*[^0-9]*'),
    turn INTEGER NOT NULL CHECK (turn >= 0),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    updated_at INTEGER NOT NULL CHECK (updated_at > 0),
    due_at INTEGER NOT NULL CHECK (due_at >= 0),
    sent_at INTEGER NOT NULL CHECK (sent_at >= 0),
    fence INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    CHECK (state NOT IN ('mined', 'done') OR block_hash <> ''),
    CHECK (block_hash = '' OR state IN ('mined', 'done', 'lost')),
    CHECK (state NOT IN ('mined', 'done') OR txid <> ''),
    CHECK (state <> 'done' OR turn > 0)
) STRICT;
CREATE INDEX spend_due ON spend (network, due_at, n) WHERE state IN ('planned', 'signed', 'sent');
CREATE INDEX spend_block ON spend (network, block_hash) WHERE block_hash <> '';
CREATE INDEX spend_mined ON spend (network, id) WHERE state = 'mined';

-- A ticket is held by one spend at a time. Those given up stay for the record.
CREATE TABLE ticket (
    n INTEGER PRIMARY KEY,
    network TEXT NOT NULL,
    ticket TEXT NOT NULL CHECK (ticket <> ''),
    spend_id TEXT NOT NULL REFERENCES spend (id),
    address TEXT NOT NULL CHECK (address <> ''),
    amount TEXT NOT NULL CHECK (amount <> '' AND amount NOT GLOB '*[^0-9]*'),
    idx INTEGER NOT NULL CHECK (idx >= 0),
    held INTEGER NOT NULL CHECK (held IN (0, 1)),
    UNIQUE (spend_id, ticket)
) STRICT;
CREATE UNIQUE INDEX ticket_held ON ticket (network, ticket) WHERE held;

CREATE TABLE version (
    spend_id TEXT NOT NULL REFERENCES spend (id),
    number INTEGER NOT NULL CHECK (number > 0),
    network TEXT NOT NULL,
    rate TEXT NOT NULL CHECK (rate <> '' AND rate NOT GLOB '*[^0-9]*'),
    fee TEXT NOT NULL CHECK (fee <> '' AND fee NOT GLOB '*[^0-9]*'),
    change TEXT NOT NULL CHECK (change <> '' AND change NOT GLOB '*[^0-9]*'),
    unsigned BLOB NOT NULL CHECK (length(unsigned) > 0),
    raw BLOB NOT NULL,
    txid TEXT NOT NULL,
    shares TEXT NOT NULL,
    made_at INTEGER NOT NULL CHECK (made_at > 0),
    sent_at INTEGER NOT NULL CHECK (sent_at >= 0),
    PRIMARY KEY (spend_id, number),
    CHECK ((length(raw) > 0) = (txid <> '')),
    CHECK (sent_at = 0 OR txid <> '')
) STRICT;
CREATE INDEX version_txid ON version (network, txid) WHERE txid <> '';

-- halt is why payouts stand still, in the one row that there is.
CREATE TABLE halt (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    CHECK ((reason = '') = (since = 0))
) STRICT;
INSERT INTO halt (one, reason, since, rev) VALUES (1, '', 0, 0);

-- stamp is what the signer keeps too: an older copy of this database has an older one.
CREATE TABLE stamp (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    text TEXT NOT NULL
) STRICT;
INSERT INTO stamp (one, text) VALUES (1, '');
