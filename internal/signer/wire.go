package signer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
)

// On a signer's socket each side sends frames: the length in four bytes, big-endian, then one JSON value. The client asks, the
// signer answers, one request at a time.

var (
	// ErrUnreachable: nobody answers on the signer's socket. What became of the call is unknown; every call may be made
	// again.
	ErrUnreachable = errors.New("signer: cannot be reached")
	// ErrLeased: another program holds the signer, and was heard of within Lease. Only one may use it.
	ErrLeased = errors.New("signer: another program holds this signer; stop it first, only one may run")
	// ErrBusy: the socket serves as many connections as it may.
	ErrBusy = errors.New("signer: too many connections")

	errFrame = errors.New("signer: not a frame of its protocol")
)

type request struct {
	Method string          `json:"method"`
	Fence  uint64          `json:"fence,omitempty"` // of the lease
	Body   json.RawMessage `json:"body,omitempty"`
}

type reply struct {
	Error *wireError      `json:"error,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// writeFrame sends a value whole.
func writeFrame(w io.Writer, v any, limit int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(body) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are sent", errFrame, len(body), limit)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

// readFrame reads a frame's length, then calls begun, then reads its body.
func readFrame(r io.Reader, limit int, begun func()) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 2 || n > uint32(limit) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", errFrame, n, limit)
	}
	begun()
	var body bytes.Buffer // grows with what arrives, not with what was announced
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

// readValue reads one JSON value of a known shape and nothing else.
func readValue(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errFrame)
	}
	return nil
}

// A wireError is an error that survives the socket: errors.Is and errors.As work on the other side for what wireWord knows.
type wireError struct {
	Words []string  `json:"words,omitempty"`
	Text  string    `json:"text"`
	Wait  *wireWait `json:"wait,omitempty"`
}

type wireWait struct {
	Until  int64  `json:"until,omitempty"` // Unix nanoseconds; 0: approval
	Reason string `json:"reason"`
}

// wireWords are the errors that survive.
func wireWords() map[string]error {
	return map[string]error{
		"refused": chain.ErrRefused, "stopped": ErrStopped, "closed": ErrClosed, "want": ErrWant, "network": ErrNetwork,
		"binding": ErrBinding, "exhausted": ErrExhausted, "leased": ErrLeased, "busy": ErrBusy, "damaged": ErrJournalDamaged,
		"frame": errFrame, "canceled": context.Canceled, "late": context.DeadlineExceeded,
	}
}

func toWire(err error) *wireError {
	out := &wireError{Text: err.Error()}
	for word, known := range wireWords() {
		if errors.Is(err, known) {
			out.Words = append(out.Words, word)
		}
	}
	var w *chain.Wait
	if errors.As(err, &w) {
		out.Wait = &wireWait{Reason: w.Reason}
		if !w.Until.IsZero() {
			out.Wait.Until = w.Until.UnixNano()
		}
	}
	return out
}

// A remoteError is what the other side said.
type remoteError struct {
	text string
	is   []error
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() []error { return e.is }

func (e *wireError) err() error {
	out, words := &remoteError{text: e.Text}, wireWords()
	for _, w := range e.Words {
		if known := words[w]; known != nil {
			out.is = append(out.is, known)
		}
	}
	if e.Wait != nil {
		w := &chain.Wait{Reason: e.Wait.Reason}
		if e.Wait.Until != 0 {
			w.Until = time.Unix(0, e.Wait.Until)
		}
		out.is = append(out.is, w)
	}
	return out
}

// Amounts go over the socket as whole numbers of the network's smallest unit, "" for the zero Amount.

func unitsOf(a money.Amount) string {
	if a.Currency() == "" {
		return ""
	}
	return a.Units()
}

// An amountReader reads amounts of one coin and keeps the first error.
type amountReader struct {
	coin money.Currency
	err  error
}

func (r *amountReader) read(text string) money.Amount {
	if text == "" || r.err != nil {
		return money.Amount{}
	}
	a, err := money.OfUnits(r.coin, text)
	r.err = err
	return a
}

type wireUnsigned struct {
	Network  money.Network `json:"network"`
	Spend    string        `json:"spend"`
	Version  int           `json:"version"`
	Merchant string        `json:"merchant"`
	Raw      []byte        `json:"raw"`
	Holdings []wireHolding `json:"holdings"`
	Pays     []wirePay     `json:"pays"`
	Anchor   chain.Ticket  `json:"anchor"`
	Rate     string        `json:"rate"`
	Fee      string        `json:"fee"`
	Change   string        `json:"change"`
}

type wireHolding struct {
	Ticket  chain.Ticket `json:"ticket"`
	Address string       `json:"address,omitempty"`
	Amount  string       `json:"amount"`
	Key     chain.Key    `json:"key"`
}

type wirePay struct {
	Payout  string      `json:"payout"`
	Attempt int         `json:"attempt"`
	Cause   chain.Cause `json:"cause"`
	To      string      `json:"to"`
	Amount  string      `json:"amount"`
	Net     string      `json:"net"`
	Own     *chain.Key  `json:"own,omitempty"`
}

func wireHoldings(all []chain.Holding) []wireHolding {
	out := make([]wireHolding, len(all))
	for i, h := range all {
		out[i] = wireHolding{h.Ticket, h.Address, unitsOf(h.Amount), h.Key}
	}
	return out
}

func wirePays(all []chain.Pay) []wirePay {
	out := make([]wirePay, len(all))
	for i, p := range all {
		out[i] = wirePay{p.Payout, p.Attempt, p.Cause, p.To, unitsOf(p.Amount), unitsOf(p.Net), p.Own}
	}
	return out
}

func (r *amountReader) holdings(all []wireHolding) []chain.Holding {
	out := make([]chain.Holding, len(all))
	for i, h := range all {
		out[i] = chain.Holding{Ticket: h.Ticket, Address: h.Address, Amount: r.read(h.Amount), Key: h.Key}
	}
	return out
}

func (r *amountReader) pays(all []wirePay) []chain.Pay {
	out := make([]chain.Pay, len(all))
	for i, p := range all {
		out[i] = chain.Pay{Payout: p.Payout, Attempt: p.Attempt, Cause: p.Cause, To: p.To, Amount: r.read(p.Amount), Net: r.read(p.Net), Own: p.Own}
	}
	return out
}

func unsignedToWire(u chain.Unsigned) wireUnsigned {
	return wireUnsigned{u.Network, u.Spend, u.Version, u.Merchant, u.Raw, wireHoldings(u.Holdings), wirePays(u.Pays), u.Anchor,
		unitsOf(u.Rate), unitsOf(u.Fee), unitsOf(u.Change)}
}

func (w wireUnsigned) unsigned() (chain.Unsigned, error) {
	r := &amountReader{coin: w.Network.Coin()}
	u := chain.Unsigned{Network: w.Network, Spend: w.Spend, Version: w.Version, Merchant: w.Merchant, Raw: w.Raw, Holdings: r.holdings(w.Holdings),
		Pays: r.pays(w.Pays), Anchor: w.Anchor, Rate: r.read(w.Rate), Fee: r.read(w.Fee), Change: r.read(w.Change)}
	if r.err != nil {
		return chain.Unsigned{}, refuse("%v", r.err)
	}
	return u, nil
}

type wireSpend struct {
	Spend    string        `json:"spend"`
	Version  int           `json:"version"`
	Network  money.Network `json:"network"`
	Merchant string        `json:"merchant"`
	Raw      []byte        `json:"raw"`
	TxID     string        `json:"txid"`
	Anchor   chain.Ticket  `json:"anchor"`
	Fee      string        `json:"fee"`
	Holdings []wireHolding `json:"holdings"`
	Pays     []wirePay     `json:"pays"`
}

func spendsToWire(all []chain.SignedSpend) []wireSpend {
	out := make([]wireSpend, len(all))
	for i, s := range all {
		out[i] = wireSpend{s.Spend, s.Version, s.Network, s.Merchant, s.Raw, s.TxID, s.Anchor, unitsOf(s.Fee), wireHoldings(s.Holdings), wirePays(s.Pays)}
	}
	return out
}

func spendsOf(all []wireSpend) ([]chain.SignedSpend, error) {
	out := make([]chain.SignedSpend, len(all))
	for i, w := range all {
		r := &amountReader{coin: w.Network.Coin()}
		out[i] = chain.SignedSpend{Spend: w.Spend, Version: w.Version, Network: w.Network, Merchant: w.Merchant, Raw: w.Raw, TxID: w.TxID,
			Anchor: w.Anchor, Fee: r.read(w.Fee), Holdings: r.holdings(w.Holdings), Pays: r.pays(w.Pays)}
		if r.err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, r.err)
		}
	}
	return out, nil
}

type wireQuestion struct {
	Payout   string        `json:"payout"`
	Attempt  int           `json:"attempt"`
	Merchant string        `json:"merchant"`
	Network  money.Network `json:"network"`
	Cause    chain.Cause   `json:"cause"`
	To       string        `json:"to"`
	Amount   string        `json:"amount"`
	At       time.Time     `json:"at"`
	Approved bool          `json:"approved"`
}

func questionsToWire(all []Question) []wireQuestion {
	out := make([]wireQuestion, len(all))
	for i, q := range all {
		out[i] = wireQuestion{q.Payout, q.Attempt, q.Merchant, q.Network, q.Cause, q.To, unitsOf(q.Amount), q.At, q.Approved}
	}
	return out
}

func questionsOf(all []wireQuestion) ([]Question, error) {
	out := make([]Question, len(all))
	for i, w := range all {
		r := &amountReader{coin: w.Network.Coin()}
		out[i] = Question{w.Payout, w.Attempt, w.Merchant, w.Network, w.Cause, w.To, r.read(w.Amount), w.At, w.Approved}
		if r.err != nil {
			return nil, fmt.Errorf("%w: %w", errFrame, r.err)
		}
	}
	return out, nil
}

// The bodies of requests with more than one part.
type (
	listRequest struct {
		After string `json:"after"`
		Limit int    `json:"limit"`
	}
	releasedRequest struct {
		Want chain.Want `json:"want"`
		From uint32     `json:"from"`
	}
	leaseRequest struct {
		Instance string `json:"instance"`
	}
	leaseReply struct {
		Fence uint64 `json:"fence"`
	}
	none struct{}
)
