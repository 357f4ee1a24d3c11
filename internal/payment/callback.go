package payment

import "time"

// A Callback is one message owed to one shop URL. Its body is fixed when it is written, in the commit of the change that it
// tells. ID is the webhook-id, the same at every try.
type Callback struct {
	ID            ID
	InvoiceID     ID
	ApplicationID ID
	PayoutID      ID    // the refund that it tells of; "" where it tells of the invoice
	Seq           int64 // order within the invoice, from 1
	URL           string
	Origin        string // scheme, host and port of URL: the lane it goes by
	Status        int    // the status it tells: the invoice's, or the refund's
	Code          int    // 1, or 4092 for a reversal
	ContentType   string
	Body          []byte
	State         CallbackState
	Attempts      int
	CreatedAt     time.Time
	DueAt         time.Time
	LeaseUntil    time.Time
	Fence         int64 // raised by each claim; a write after a send swaps on it
	DoneAt        time.Time
}

// An Attempt is one try to deliver a callback.
type Attempt struct {
	CallbackID ID
	N          int // from 1
	At         time.Time
	Took       time.Duration
	HTTPStatus int    // 0: no answer
	Verdict    string // a word of package webhook
	Detail     string
	Answer     []byte // at most 1 KiB of what came back
	Sent       string // headers that were sent, a line each, without the signature
	Headers    string // headers that came back, a line each, without cookies; cut off
}

// A Message is what is sent for a callback: the body with the secrets that sign it.
type Message struct {
	ID          string // webhook-id
	URL         string
	ContentType string
	Body        []byte
	Secrets     [][]byte // clear; the current one first
}

// An Answer is what came of sending a message.
type Answer struct {
	Delivered bool
	Verdict   string
	Status    int
	Body      []byte // at most 1 KiB
	Took      time.Duration
	Detail    string
	// Sent and Headers are the headers that went and that came, a line each, fit to be kept and shown; "" where there were none.
	Sent, Headers string
}
