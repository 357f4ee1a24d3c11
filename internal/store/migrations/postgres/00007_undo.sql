-- +goose Up

-- Links that undo a change of an e-mail address, and a person's links by person, so that undoing it ends them all. Programs of
-- version 6 still run on this schema: they make none of them, and hold one that they meet for dead.
ALTER TABLE link
    DROP CONSTRAINT link_kind_check,
    ADD CONSTRAINT link_kind_check CHECK (kind IN ('setup', 'signup', 'invite', 'email', 'undo', 'reset')),
    DROP CONSTRAINT link_check2,
    ADD CONSTRAINT link_check2 CHECK ((kind IN ('email', 'undo', 'reset')) = (user_id <> ''));
CREATE INDEX link_person ON link (user_id, n) WHERE user_id <> '' AND used_at = 0;
