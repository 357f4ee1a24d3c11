-- +goose Up

-- People: who logs in, how, into whose team, what they did, and the letters that they get. Programs of version 2 still run on
-- this schema.
CREATE TABLE person (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL UNIQUE CHECK (email <> ''),
    name TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    operator INTEGER NOT NULL CHECK (operator IN (0, 1)),
    password TEXT NOT NULL,
    totp BLOB NOT NULL,
    totp_step INTEGER NOT NULL CHECK (totp_step >= 0),
    recovery BLOB NOT NULL,
    failures INTEGER NOT NULL CHECK (failures >= 0),
    paused_till INTEGER NOT NULL,
    verified_at INTEGER NOT NULL,
    disabled_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    updated_at INTEGER NOT NULL CHECK (updated_at > 0),
    rev INTEGER NOT NULL
) STRICT;

CREATE TABLE credential (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES person (id),
    key BLOB NOT NULL UNIQUE CHECK (length(key) > 0),
    data BLOB NOT NULL CHECK (length(data) > 0),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    used_at INTEGER NOT NULL,
    rev INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_person ON credential (user_id, n);

CREATE TABLE session (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    user_id TEXT NOT NULL REFERENCES person (id),
    merchant_id TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('half', 'full')),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    seen_at INTEGER NOT NULL CHECK (seen_at > 0),
    until INTEGER NOT NULL CHECK (until > 0),
    step_up_till INTEGER NOT NULL,
    ip TEXT NOT NULL,
    agent TEXT NOT NULL,
    revoked_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    CHECK (level = 'full' OR step_up_till = 0)
) STRICT;
CREATE INDEX session_person ON session (user_id, n);
CREATE INDEX session_until ON session (until);

CREATE TABLE member (
    n INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES person (id),
    merchant_id TEXT NOT NULL REFERENCES merchant (id),
    role TEXT NOT NULL CHECK (role IN ('viewer', 'support', 'developer', 'admin', 'owner')),
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    rev INTEGER NOT NULL,
    UNIQUE (merchant_id, user_id)
) STRICT;
CREATE INDEX member_person ON member (user_id, merchant_id);

CREATE TABLE link (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('setup', 'signup', 'invite', 'email', 'reset')),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    email TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    user_id TEXT NOT NULL,
    merchant_id TEXT NOT NULL,
    role TEXT NOT NULL,
    made_by TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    until INTEGER NOT NULL CHECK (until > 0),
    used_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    CHECK ((kind = 'invite') = (merchant_id <> '')),
    CHECK ((kind = 'invite') = (role <> '')),
    CHECK ((kind IN ('email', 'reset')) = (user_id <> ''))
) STRICT;
CREATE INDEX link_merchant ON link (merchant_id, n) WHERE merchant_id <> '' AND used_at = 0;
CREATE INDEX link_until ON link (until);

CREATE TABLE challenge (
    hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user_id TEXT NOT NULL,
    data BLOB NOT NULL,
    until INTEGER NOT NULL CHECK (until > 0)
) STRICT;
CREATE INDEX challenge_until ON challenge (until);

-- What people did, a chain of hashes in each scope: a merchant's id, or '' for the house.
CREATE TABLE audit_record (
    n INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at INTEGER NOT NULL CHECK (at > 0),
    actor_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    ip TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action <> ''),
    subject TEXT NOT NULL,
    data TEXT NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE (scope, seq),
    CHECK ((seq = 1) = (length(prev) = 0))
) STRICT;
CREATE INDEX audit_record_subject ON audit_record (scope, subject, seq) WHERE subject <> '';

CREATE TABLE mail (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL CHECK (recipient <> ''),
    language TEXT NOT NULL CHECK (language IN ('kr', 'en')),
    kind TEXT NOT NULL CHECK (kind <> ''),
    sealed BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'sent', 'parked')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    detail TEXT NOT NULL,
    created_at INTEGER NOT NULL CHECK (created_at > 0),
    due_at INTEGER NOT NULL CHECK (due_at > 0),
    lease_until INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    done_at INTEGER NOT NULL,
    CHECK ((state = 'open') = (done_at = 0)),
    CHECK ((state = 'open') = (length(sealed) > 0))
) STRICT;
CREATE INDEX mail_due ON mail (due_at, n) WHERE state = 'open';
CREATE INDEX mail_done ON mail (done_at) WHERE state <> 'open';
