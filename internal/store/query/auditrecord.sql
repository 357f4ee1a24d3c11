-- name: LastAuditRecord :one
SELECT * FROM audit_record WHERE scope = @scope ORDER BY seq DESC LIMIT 1;

-- name: AddAuditRecord :exec
INSERT INTO audit_record (scope, seq, at, actor_id, actor, ip, action, subject, data, prev, hash)
VALUES (@scope, @seq, @at, @actor_id, @actor, @ip, @action, @subject, @data, @prev, @hash);

-- Those before a number, the newest first.
-- name: AuditRecords :many
SELECT * FROM audit_record WHERE scope = @scope AND seq < @seq ORDER BY seq DESC LIMIT @most;

-- name: AuditRecordsOf :many
SELECT * FROM audit_record WHERE scope = @scope AND subject = @subject AND subject <> '' AND seq < @seq ORDER BY seq DESC LIMIT @most;

-- Those after a number, the oldest first: to export them and to check the chain.
-- name: AuditRecordsAfter :many
SELECT * FROM audit_record WHERE scope = @scope AND seq > @seq ORDER BY seq LIMIT @most;
