package store

import (
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// LastAuditRecord is the newest of a scope.
func (t *tx) LastAuditRecord(scope payment.ID) (payment.AuditRecord, error) {
	r, err := t.q.LastAuditRecord(t.ctx, string(scope))
	return auditRecord(r), t.fail("find the last audit record", err)
}

// AddAuditRecord stores the next record of a scope.
func (t *tx) AddAuditRecord(r payment.AuditRecord) error {
	return t.fail("add audit record", t.q.AddAuditRecord(t.ctx, row.AddAuditRecordParams{
		Scope: string(r.Scope), Seq: r.Seq, At: millis(r.At), ActorID: string(r.ActorID), Actor: r.Actor, Ip: r.IP, Action: r.Action,
		Subject: r.Subject, Data: r.Data, Prev: bytes(r.Prev), Hash: bytes(r.Hash),
	}))
}

// AuditRecords are those before a number, the newest first, of one subject where one is given.
func (t *tx) AuditRecords(scope payment.ID, subject string, before int64, limit int) ([]payment.AuditRecord, error) {
	var rows []row.AuditRecord
	var err error
	if subject == "" {
		rows, err = t.q.AuditRecords(t.ctx, row.AuditRecordsParams{Scope: string(scope), Seq: before, Most: atMost(limit)})
	} else {
		rows, err = t.q.AuditRecordsOf(t.ctx, row.AuditRecordsOfParams{Scope: string(scope), Subject: subject, Seq: before, Most: atMost(limit)})
	}
	return plainly(rows, auditRecord), t.fail("list audit records", err)
}

// AuditRecordsAfter are those after a number, the oldest first.
func (t *tx) AuditRecordsAfter(scope payment.ID, after int64, limit int) ([]payment.AuditRecord, error) {
	rows, err := t.q.AuditRecordsAfter(t.ctx, row.AuditRecordsAfterParams{Scope: string(scope), Seq: after, Most: atMost(limit)})
	return plainly(rows, auditRecord), t.fail("list audit records", err)
}

func auditRecord(r row.AuditRecord) payment.AuditRecord {
	return payment.AuditRecord{
		Scope: payment.ID(r.Scope), Seq: r.Seq, At: at(r.At), ActorID: payment.ID(r.ActorID), Actor: r.Actor, IP: r.Ip,
		Action: r.Action, Subject: r.Subject, Data: r.Data, Prev: r.Prev, Hash: r.Hash,
	}
}
