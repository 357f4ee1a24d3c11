CREATE TABLE deposit (
    id BIGINT,
    amount NUMERIC(78, 0) NOT NULL CHECK (amount >= 0),
    n BIGINT
);
