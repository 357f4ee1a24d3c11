-- +goose Up

-- Letters that were given up keep what they say, sealed, so that they can be tried again, and each knows the one-time link in it.
-- Programs of version 6 still run on this schema: they wipe what they give up.
ALTER TABLE mail
    ADD COLUMN link_id TEXT COLLATE "C" NOT NULL DEFAULT '',
    DROP CONSTRAINT mail_check1,
    ADD CONSTRAINT mail_check1 CHECK (state <> 'open' OR length(sealed) > 0),
    ADD CONSTRAINT mail_check2 CHECK (state <> 'sent' OR length(sealed) = 0);
CREATE INDEX mail_parked ON mail (id) WHERE state = 'parked';
CREATE INDEX mail_unreached ON mail (recipient, id) WHERE state = 'parked';
CREATE INDEX mail_link ON mail (link_id, id) WHERE link_id <> '';
