-- name: AddNote :exec
INSERT INTO note (id, invoice_id, author_id, author, text, created_at)
VALUES (@id, @invoice_id, @author_id, @author, @text, @created_at);

-- name: Notes :many
SELECT * FROM note WHERE invoice_id = @invoice_id ORDER BY n LIMIT @most;

-- name: RemoveNote :execrows
DELETE FROM note WHERE id = @id AND invoice_id = @invoice_id;
