-- +goose Up

-- Money out: payouts, the spends that carry them out, their tickets and versions. Deposits may now be a wallet's, change or
-- strays, and addresses a wallet's.
UPDATE schema_rule SET oldest = 2;

ALTER TABLE address
    ADD COLUMN wallet NUMERIC(78, 0) NOT NULL DEFAULT 0 CHECK (wallet >= 0),
    -- laden tells whether wallet is above zero: queries compare no amounts.
    ADD COLUMN laden BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN nonce BIGINT NOT NULL DEFAULT 0 CHECK (nonce >= 0),
    DROP CONSTRAINT address_check,
    ADD CONSTRAINT address_owned CHECK (state = 'given' OR invoice_id IS NULL),
    ADD CONSTRAINT address_weight CHECK (laden = (wallet <> 0)),
    ADD CONSTRAINT address_laden_given CHECK (NOT laden OR state = 'given');
DROP INDEX address_invoice;
CREATE UNIQUE INDEX address_invoice ON address (invoice_id, network) WHERE invoice_id IS NOT NULL;
CREATE INDEX address_laden ON address (merchant_id, network, address) WHERE laden;
CREATE INDEX address_receiving ON address (merchant_id, network, given_at, n) WHERE given_at > 0 AND invoice_id IS NULL;

ALTER TABLE deposit
    ADD COLUMN account TEXT COLLATE "C",
    ADD COLUMN spend_id TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- taken tells whether a spend holds the ticket that is its ref, so that coins to spend are found without a look at all
    -- that ever were.
    ADD COLUMN taken BOOLEAN NOT NULL DEFAULT FALSE,
    ALTER COLUMN invoice_id DROP NOT NULL;
ALTER TABLE deposit ALTER COLUMN account TYPE TEXT COLLATE "C" USING 'invoice/' || invoice_id;
ALTER TABLE deposit
    ALTER COLUMN account SET NOT NULL,
    ADD CONSTRAINT deposit_owner CHECK (account <> '' AND account <> 'world'),
    ADD CONSTRAINT deposit_valuable CHECK (NOT unvalued OR (invoice_id IS NOT NULL AND spend_id = ''));
DROP INDEX deposit_invoice;
CREATE INDEX deposit_invoice ON deposit (invoice_id, n) WHERE invoice_id IS NOT NULL;
CREATE INDEX deposit_network ON deposit (network, n);
CREATE INDEX deposit_coin ON deposit (account, network, n) WHERE state = 'confirmed' AND NOT taken;

-- A key may be kept from asking for refunds.
ALTER TABLE api_key ADD COLUMN no_refund BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE callback ADD COLUMN payout_id TEXT COLLATE "C" NOT NULL DEFAULT '';

-- The lanes of callbacks are walked by origin.
CREATE INDEX callback_lane ON callback (origin, due_at, n) WHERE state = 'open';

CREATE TABLE payout (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('settlement', 'asked', 'short', 'excess', 'late', 'withdrawal', 'gather')),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    application_id TEXT COLLATE "C" REFERENCES application (id),
    invoice_id TEXT COLLATE "C" REFERENCES invoice (id),
    network TEXT COLLATE "C" NOT NULL CHECK (network <> ''),
    receiver TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL CHECK (source <> 'world'),
    amount NUMERIC(78, 0) NOT NULL CHECK (amount >= 0),
    wasted NUMERIC(78, 0) NOT NULL CHECK (wasted >= 0),
    fee NUMERIC(78, 0) NOT NULL CHECK (fee >= 0),
    net NUMERIC(78, 0) NOT NULL CHECK (net >= 0),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'open', 'paying', 'done', 'failed')),
    hold TEXT NOT NULL,
    fail_reason TEXT NOT NULL,
    callback_url TEXT NOT NULL,
    for_id TEXT COLLATE "C" NOT NULL,
    spend_id TEXT COLLATE "C" NOT NULL,
    txid TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL CHECK (attempt >= 0),
    turn BIGINT NOT NULL CHECK (turn >= 0),
    reserved BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    updated_at BIGINT NOT NULL CHECK (updated_at > 0),
    due_at BIGINT NOT NULL CHECK (due_at >= 0),
    sent_at BIGINT NOT NULL CHECK (sent_at >= 0),
    done_at BIGINT NOT NULL CHECK (done_at >= 0),
    rev BIGINT NOT NULL,
    CHECK ((kind IN ('withdrawal', 'gather')) = (invoice_id IS NULL)),
    CHECK ((invoice_id IS NULL) = (application_id IS NULL)),
    CHECK (for_id = '' OR kind = 'gather'),
    CHECK ((state IN ('done', 'failed')) = (done_at > 0)),
    CHECK (state <> 'paying' OR (spend_id <> '' AND receiver <> '')),
    CHECK (NOT reserved OR (source <> '' AND turn > 0)),
    CHECK (state = 'failed' OR fail_reason = '')
);
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
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(id) = 64),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    network TEXT COLLATE "C" NOT NULL CHECK (network <> ''),
    source TEXT COLLATE "C" NOT NULL CHECK (source <> 'world'),
    anchor TEXT COLLATE "C" NOT NULL CHECK (anchor <> ''),
    state TEXT NOT NULL CHECK (state IN ('planned', 'signed', 'sent', 'mined', 'done', 'void', 'lost')),
    version BIGINT NOT NULL CHECK (version > 0),
    hold TEXT NOT NULL,
    reason TEXT NOT NULL,
    txid TEXT COLLATE "C" NOT NULL,
    height BIGINT NOT NULL CHECK (height >= 0),
    block_hash TEXT COLLATE "C" NOT NULL,
    failed BOOLEAN NOT NULL,
    outflow NUMERIC(78, 0) NOT NULL CHECK (outflow >= 0),
    fee NUMERIC(78, 0) NOT NULL CHECK (fee >= 0),
    turn BIGINT NOT NULL CHECK (turn >= 0),
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    updated_at BIGINT NOT NULL CHECK (updated_at > 0),
    due_at BIGINT NOT NULL CHECK (due_at >= 0),
    sent_at BIGINT NOT NULL CHECK (sent_at >= 0),
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    CHECK (state NOT IN ('mined', 'done') OR block_hash <> ''),
    CHECK (block_hash = '' OR state IN ('mined', 'done', 'lost')),
    CHECK (state NOT IN ('mined', 'done') OR txid <> ''),
    CHECK (state <> 'done' OR turn > 0)
);
CREATE INDEX spend_due ON spend (network, due_at, n) WHERE state IN ('planned', 'signed', 'sent');
CREATE INDEX spend_block ON spend (network, block_hash) WHERE block_hash <> '';
CREATE INDEX spend_mined ON spend (network, id) WHERE state = 'mined';

-- A ticket is held by one spend at a time. Those given up stay for the record.
CREATE TABLE ticket (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network TEXT COLLATE "C" NOT NULL,
    ticket TEXT COLLATE "C" NOT NULL CHECK (ticket <> ''),
    spend_id TEXT COLLATE "C" NOT NULL REFERENCES spend (id),
    address TEXT COLLATE "C" NOT NULL CHECK (address <> ''),
    amount NUMERIC(78, 0) NOT NULL CHECK (amount >= 0),
    idx BIGINT NOT NULL CHECK (idx >= 0),
    held BOOLEAN NOT NULL,
    UNIQUE (spend_id, ticket)
);
CREATE UNIQUE INDEX ticket_held ON ticket (network, ticket) WHERE held;

CREATE TABLE version (
    spend_id TEXT COLLATE "C" NOT NULL REFERENCES spend (id),
    number BIGINT NOT NULL CHECK (number > 0),
    network TEXT COLLATE "C" NOT NULL,
    rate NUMERIC(78, 0) NOT NULL CHECK (rate >= 0),
    fee NUMERIC(78, 0) NOT NULL CHECK (fee >= 0),
    change NUMERIC(78, 0) NOT NULL CHECK (change >= 0),
    unsigned BYTEA NOT NULL CHECK (length(unsigned) > 0),
    raw BYTEA NOT NULL,
    txid TEXT COLLATE "C" NOT NULL,
    shares TEXT NOT NULL,
    made_at BIGINT NOT NULL CHECK (made_at > 0),
    sent_at BIGINT NOT NULL CHECK (sent_at >= 0),
    PRIMARY KEY (spend_id, number),
    CHECK ((length(raw) > 0) = (txid <> '')),
    CHECK (sent_at = 0 OR txid <> '')
);
CREATE INDEX version_txid ON version (network, txid) WHERE txid <> '';

-- halt is why payouts stand still, in the one row that there is.
CREATE TABLE halt (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    reason TEXT NOT NULL,
    since BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    CHECK ((reason = '') = (since = 0))
);
INSERT INTO halt (one, reason, since, rev) VALUES (1, '', 0, 0);

-- stamp is what the signer keeps too: an older copy of this database has an older one.
CREATE TABLE stamp (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    text TEXT NOT NULL
);
INSERT INTO stamp (one, text) VALUES (1, '');
