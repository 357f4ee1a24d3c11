package payment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// An AuditRecord says who did what. Records of one scope are a chain: each holds the hash of the one before, so that none
// can be changed or taken out without breaking all that follow.
type AuditRecord struct {
	Scope   ID    // the merchant, or "" for what concerns the house
	Seq     int64 // 1, 2, 3 … in its scope
	At      time.Time
	ActorID ID     // "": nobody was logged in
	Actor   string // their e-mail address then, or what else acted
	IP      string
	Action  string // a word like "member.role"
	Subject string // what it was done to: an id or an address
	Data    string // JSON of what changed
	Prev    []byte // hash of the record before; empty for the first
	Hash    []byte
}

// Sum is what Hash must be: the SHA-256 of all other fields, each with its length in front.
func (r AuditRecord) Sum() []byte {
	h := sha256.New()
	put := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(r.Seq))
	put(n[:])
	binary.BigEndian.PutUint64(n[:], uint64(r.At.UnixMilli()))
	put(n[:])
	for _, text := range []string{string(r.Scope), string(r.ActorID), r.Actor, r.IP, r.Action, r.Subject, r.Data} {
		put([]byte(text))
	}
	put(r.Prev)
	return h.Sum(nil)
}

// Follows tells whether the record is whole and comes right after prev; for the first one prev is the zero record.
func (r AuditRecord) Follows(prev AuditRecord) bool {
	return r.Seq == prev.Seq+1 && bytes.Equal(r.Prev, prev.Hash) && bytes.Equal(r.Hash, r.Sum())
}
