package payment

import "time"

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
