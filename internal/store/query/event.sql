-- name: AddEvent :exec
INSERT INTO event (id, invoice_id, kind, at, data) VALUES (@id, @invoice_id, @kind, @at, @data);

-- name: Events :many
SELECT * FROM event WHERE invoice_id = @invoice_id ORDER BY n LIMIT @most;

-- Without what an event holds, which nobody who follows the log asks for.
-- name: EventsSince :many
SELECT id, invoice_id, at FROM event WHERE at >= @t AND (at > @t OR id > @id) ORDER BY at, id LIMIT @most;
