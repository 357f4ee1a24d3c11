package payment

import (
	"fmt"
	"slices"
)

// A Status is the status of an invoice, as the guide numbers it.
type Status int

// The statuses of an invoice.
const (
	Waiting  Status = 1
	Paid     Status = 2
	Expired  Status = 3
	Refunded Status = 4
)

// A DepositStatus tells how far the amount due has come, as the guide numbers it.
type DepositStatus int

// The deposit statuses. InTransit is anything between nothing and the amount due deep enough, a part payment too, so that
// a shop that reads only this field never ships early.
const (
	NoDeposit DepositStatus = 0
	Deposited DepositStatus = 1
	InTransit DepositStatus = 2
)

// A DepositState is where one deposit stands.
type DepositState string

// The states of a deposit. Reversed: it was confirmed and the chain took it back.
const (
	Seen      DepositState = "seen"
	Mined     DepositState = "mined"
	Confirmed DepositState = "confirmed"
	Dropped   DepositState = "dropped"
	Reversed  DepositState = "reversed"
)

// An AddressState is where an address of the pool stands.
type AddressState string

// The states of an address. Dead: released in an older epoch of the signer and never given.
const (
	AddressFree  AddressState = "free"
	AddressGiven AddressState = "given"
	AddressDead  AddressState = "dead"
)

// A CallbackState is where a callback stands.
type CallbackState string

// The states of a callback. Parked: the schedule is used up; it waits for a person to resend it.
const (
	CallbackOpen      CallbackState = "open"
	CallbackDelivered CallbackState = "delivered"
	CallbackParked    CallbackState = "parked"
)

// Edges is a table of allowed changes: data for the code, the tests and docs/states.md.
type Edges[S ~int | ~string] map[S][]S

// Check answers an error when the change is not in the table. No change is always allowed. A refusal is a broken
// invariant, never a user's mistake.
func (e Edges[S]) Check(was, is S) error {
	if was == is || slices.Contains(e[was], is) {
		return nil
	}
	return fmt.Errorf("payment: forbidden change from %v to %v", was, is)
}

// InvoiceEdges: paid never un-happens.
var InvoiceEdges = Edges[Status]{
	Waiting:  {Paid, Expired},
	Expired:  {Paid, Refunded}, // Paid: found late though in time, or a late payment accepted
	Paid:     {Refunded},
	Refunded: {},
}

// DepositEdges: a deposit moves with the chain, back and forth.
var DepositEdges = Edges[DepositState]{
	Seen:      {Mined, Dropped},
	Mined:     {Confirmed, Seen, Dropped},
	Confirmed: {Reversed},
	Dropped:   {Seen, Mined},
	Reversed:  {Mined, Seen},
}

// AddressEdges: an address is given once, for ever.
var AddressEdges = Edges[AddressState]{
	AddressFree:  {AddressGiven, AddressDead},
	AddressGiven: {},
	AddressDead:  {},
}

// CallbackEdges: a callback is open until it is delivered or parked; either may be sent once more on demand.
var CallbackEdges = Edges[CallbackState]{
	CallbackOpen:      {CallbackDelivered, CallbackParked},
	CallbackDelivered: {CallbackOpen},
	CallbackParked:    {CallbackOpen},
}

// Marks are notes beside the status of an invoice.
type Marks uint8

// The marks. Short: less than due came, and the time is over. Excess: more than due came. Late: something came after the
// deadline of an invoice that was not paid in time. MarkReversed: the chain took a paid deposit away. MarkDropped: money
// that had been seen is gone again.
const (
	MarkShort Marks = 1 << iota
	MarkExcess
	MarkLate
	MarkReversed
	MarkDropped
)

// Has tells whether all of the given marks are set.
func (m Marks) Has(o Marks) bool { return m&o == o }
