-- +goose Up

-- Letters that were given up keep what they say, sealed, so that they can be tried again, and each knows the one-time link in it.
-- Programs of version 6 still run on this schema: they wipe what they give up.
CREATE TABLE mail_new (
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
    link_id TEXT NOT NULL DEFAULT '',
    CHECK ((state = 'open') = (done_at = 0)),
    CHECK (state <> 'open' OR length(sealed) > 0),
    CHECK (state <> 'sent' OR length(sealed) = 0)
) STRICT;
INSERT INTO mail_new SELECT
    n, id, recipient, language, kind, sealed, state, attempts, detail, created_at, due_at, lease_until, fence, done_at, ''
FROM mail;
DROP TABLE mail;
ALTER TABLE mail_new RENAME TO mail;
CREATE INDEX mail_due ON mail (due_at, n) WHERE state = 'open';
CREATE INDEX mail_done ON mail (done_at) WHERE state <> 'open';
CREATE INDEX mail_parked ON mail (id) WHERE state = 'parked';
CREATE INDEX mail_unreached ON mail (recipient, id) WHERE state = 'parked';
CREATE INDEX mail_link ON mail (link_id, id) WHERE link_id <> '';
