-- +goose Up

-- What a team writes to a payment for itself, and the lists of payments that somebody keeps by name. Programs of version 6 still run on this schema.
CREATE TABLE note (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    invoice_id TEXT COLLATE "C" NOT NULL REFERENCES invoice (id),
    author_id TEXT COLLATE "C" NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL CHECK (text <> ''),
    created_at BIGINT NOT NULL CHECK (created_at > 0)
);
CREATE INDEX note_invoice ON note (invoice_id, n);

CREATE TABLE saved_view (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES person (id),
    merchant_id TEXT COLLATE "C" NOT NULL REFERENCES merchant (id),
    name TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    query TEXT NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at > 0),
    UNIQUE (user_id, merchant_id, name)
);
