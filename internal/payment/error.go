package payment

import (
	"errors"
	"fmt"
)

// A Kind is the class of an Error; the front doors choose the form of their answer by it.
type Kind int

// The kinds of errors.
const (
	Internal Kind = iota
	Invalid
	Unauthorized
	Forbidden
	NotFound
	Conflict
	Limit
	Unavailable
)

// An Error is a refusal that may be shown to the caller. Word is its stable name, from which each front door derives its code.
// Field names the parameter at fault, or is "". Message says what is wrong and what to do, in English.
type Error struct {
	Kind    Kind
	Word    string
	Field   string
	Message string
}

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Word + ": " + e.Field + ": " + e.Message
	}
	return e.Word + ": " + e.Message
}

// Is makes errors.Is compare by word, so that errors with other messages are the same refusal.
func (e *Error) Is(target error) bool {
	var o *Error
	return errors.As(target, &o) && o.Word == e.Word
}

// The words of refusals. Each appears in docs/codes.md with its code, cause and cure.
const (
	WordMalformed   = "malformed"
	WordBodyTooBig  = "body-too-big"
	WordSlow        = "body-too-slow"
	WordEncoding    = "unknown-encoding"
	WordNoKey       = "unknown-key"
	WordIP          = "ip-not-registered"
	WordURL         = "url-not-registered"
	WordScope       = "not-allowed"
	WordNoInvoice   = "no-such-invoice"
	WordNoRoute     = "no-such-call"
	WordMethod      = "method-not-allowed"
	WordState       = "wrong-state"
	WordReversed    = "reversed"
	WordIdempotency = "idempotency-key-reused"
	WordTooMany     = "too-many-requests"
	WordNoRate      = "no-rate"
	WordNoNode      = "no-node"
	WordNoAddress   = "no-address"
	WordBusy        = "busy"
	WordDisk        = "disk-full"
	WordNotOK       = "callback-not-ok"
	WordInternal    = "internal"
)

// ErrConflict: somebody else changed the row since it was read. The transaction is tried again from the start.
var ErrConflict = errors.New("payment: changed by somebody else")

// ErrAbsent: there is no such row.
var ErrAbsent = errors.New("payment: no such row")

// Malformed refuses a parameter.
func Malformed(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Word: WordMalformed, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Refuse makes any other refusal.
func Refuse(kind Kind, word, format string, args ...any) *Error {
	return &Error{Kind: kind, Word: word, Message: fmt.Sprintf(format, args...)}
}
