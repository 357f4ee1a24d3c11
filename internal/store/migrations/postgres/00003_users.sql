-- +goose Up

-- People: who logs in, how, into whose team, what they did, and the letters that they get. Programs of version 2 still run on
-- this schema.
CREATE TABLE person (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    email TEXT COLLATE "C" NOT NULL UNIQUE CHECK (email <> ''),
    name TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    operator BOOLEAN NOT NULL,
    password TEXT NOT NULL,
    totp BYTEA NOT NULL,
    totp_step BIGINT NOT NULL CHECK (totp_step >= 0),
    recovery BYTEA NOT NULL,
    failures BIGINT NOT NULL CHECK (failures >= 0),
    paused_till BIGINT NOT NULL,
    verified_at BIGINT NOT NULL,
    disabled_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    updated_at BIGINT NOT NULL CHECK (updated_at > 0),
    rev BIGINT NOT NULL
);

CREATE TABLE credential (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    key BYTEA NOT NULL UNIQUE CHECK (length(key) > 0),
    data BYTEA NOT NULL CHECK (length(data) > 0),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    used_at BIGINT NOT NULL,
    rev BIGINT NOT NULL
);
CREATE INDEX credential_person ON credential (user_id, n);

CREATE TABLE session (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    hash BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    merchant_id TEXT COLLATE "C" NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('half', 'full')),
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    seen_at BIGINT NOT NULL CHECK (seen_at > 0),
    until BIGINT NOT NULL CHECK (until > 0),
    step_up_till BIGINT NOT NULL,
    ip TEXT NOT NULL,
    agent TEXT NOT NULL,
    revoked_at BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    CHECK (level = 'full' OR step_up_till = 0)
);
CREATE INDEX session_person ON session (user_id, n);
CREATE INDEX session_until ON session (until);

CREATE TABLE member (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'support', 'developer', 'admin', 'owner')),
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    rev BIGINT NOT NULL,
    UNIQUE (merchant_id, user_id)
);
CREATE INDEX member_person ON member (user_id, merchant_id);

CREATE TABLE link (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('setup', 'signup', 'invite', 'email', 'reset')),
    hash BYTEA NOT NULL UNIQUE CHECK (length(hash) = 32),
    email TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    user_id TEXT COLLATE "C" NOT NULL,
    merchant_id TEXT COLLATE "C" NOT NULL,
    role TEXT NOT NULL,
    made_by TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    until BIGINT NOT NULL CHECK (until > 0),
    used_at BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    CHECK ((kind = 'invite') = (merchant_id <> '')),
    CHECK ((kind = 'invite') = (role <> '')),
    CHECK ((kind IN ('email', 'reset')) = (user_id <> ''))
);
CREATE INDEX link_merchant ON link (merchant_id, n) WHERE merchant_id <> '' AND used_at = 0;
CREATE INDEX link_until ON link (until);

CREATE TABLE challenge (
    hash BYTEA PRIMARY KEY CHECK (length(hash) = 32),
    user_id TEXT COLLATE "C" NOT NULL,
    data BYTEA NOT NULL,
    until BIGINT NOT NULL CHECK (until > 0)
);
CREATE INDEX challenge_until ON challenge (until);

-- What people did, a chain of hashes in each scope: a merchant's id, or '' for the house.
CREATE TABLE audit_record (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL CHECK (seq > 0),
    at BIGINT NOT NULL CHECK (at > 0),
    actor_id TEXT COLLATE "C" NOT NULL,
    actor TEXT NOT NULL,
    ip TEXT NOT NULL,
    action TEXT COLLATE "C" NOT NULL CHECK (action <> ''),
    subject TEXT COLLATE "C" NOT NULL,
    data TEXT NOT NULL,
    prev BYTEA NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32),
    UNIQUE (scope, seq),
    CHECK ((seq = 1) = (length(prev) = 0))
);
CREATE INDEX audit_record_subject ON audit_record (scope, subject, seq) WHERE subject <> '';

CREATE TABLE mail (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    recipient TEXT NOT NULL CHECK (recipient <> ''),
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    kind TEXT NOT NULL CHECK (kind <> ''),
    sealed BYTEA NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'sent', 'parked')),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    due_at BIGINT NOT NULL CHECK (due_at > 0),
    lease_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    done_at BIGINT NOT NULL,
    CHECK ((state = 'open') = (done_at = 0)),
    CHECK ((state = 'open') = (length(sealed) > 0))
);
CREATE INDEX mail_due ON mail (due_at, n) WHERE state = 'open';
CREATE INDEX mail_done ON mail (done_at) WHERE state <> 'open';
