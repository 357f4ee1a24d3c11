-- +goose Up

-- Links that undo a change of an e-mail address, and a person's links by person, so that undoing it ends them all. Programs of
-- version 6 still run on this schema: they make none of them, and hold one that they meet for dead.
CREATE TABLE link_new (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('setup', 'signup', 'invite', 'email', 'undo', 'reset')),
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
    CHECK ((kind IN ('email', 'undo', 'reset')) = (user_id <> ''))
) STRICT;
INSERT INTO link_new SELECT
    n, id, kind, hash, email, language, user_id, merchant_id, role, made_by, created_at, until, used_at, rev
FROM link;
DROP TABLE link;
ALTER TABLE link_new RENAME TO link;
CREATE INDEX link_merchant ON link (merchant_id, n) WHERE merchant_id <> '' AND used_at = 0;
CREATE INDEX link_person ON link (user_id, n) WHERE user_id <> '' AND used_at = 0;
CREATE INDEX link_until ON link (until);
