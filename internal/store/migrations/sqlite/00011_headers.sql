-- +goose Up

-- The headers of each try of a callback, as they went and as they came. Programs of version 6 still run on this schema.
ALTER TABLE attempt ADD COLUMN sent TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN headers TEXT NOT NULL DEFAULT '';
