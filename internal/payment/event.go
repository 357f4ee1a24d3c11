package payment

import "time"

// An Event says that something happened to an invoice. It is a row of the log, written in the same commit as the change,
// and it wakes open pages.
type Event struct {
	ID        ID
	InvoiceID ID
	Kind      EventKind
	At        time.Time
	Data      map[string]string // small facts for the timeline
}

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventCreated       EventKind = "created"
	EventQuoted        EventKind = "quoted"
	EventRefundAddress EventKind = "refund-address"
	EventCancelled     EventKind = "cancelled"
	EventDeposit       EventKind = "deposit" // a deposit was seen, mined, confirmed, dropped or reversed
	EventConfirming    EventKind = "confirming"
	EventPaid          EventKind = "paid"
	EventExpired       EventKind = "expired"
	EventRefunded      EventKind = "refunded"
	EventReversed      EventKind = "reversed"
	EventPayout        EventKind = "payout"   // a payout of the invoice went a step on; Data says which and where it stands
	EventRestored      EventKind = "restored" // a reversed payment is there again
	EventChanged       EventKind = "changed"  // amounts or marks changed and nothing of the above
)
