package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/pipe-pg/pipe/internal/payment"
)

// SumRecord is what a record's Hash must be: the SHA-256 of all other fields, each with its length in front.
func SumRecord(r payment.AuditRecord) []byte {
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

// Follows tells whether a record is whole and comes right after prev; for the first one prev is the zero record.
func Follows(r, prev payment.AuditRecord) bool {
	return r.Seq == prev.Seq+1 && bytes.Equal(r.Prev, prev.Hash) && bytes.Equal(r.Hash, SumRecord(r))
}
