package signer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pipe-pg/pipe/internal/money"
)

var (
	// ErrBinding: the branch belongs to another merchant, or the merchant to another branch. It is for ever.
	ErrBinding = errors.New("signer: branch and merchant do not belong together")
	// ErrExhausted: the branch has no further index on that network.
	ErrExhausted = errors.New("signer: branch has no addresses left")

	errRecord = errors.New("record makes no sense")
)

// A lane is what one high-water mark is about.
type lane struct {
	branch  uint32
	network money.Network
}

// A book is what the journal's records add up to. Of spends it keeps no texts and bytes, which stay in the journal: some
// 0.5 kB for each spend with one ticket and one payout.
type book struct {
	at   int64 // of the record that is being taken in, in Unix milliseconds
	spot spot  // where it lies

	epoch    uint64
	floor    uint32            // where a lane without a mark begins
	merchant map[uint32]string // branch → merchant
	branch   map[string]uint32 // merchant → branch
	next     map[lane]uint32   // every index below it may have left the signer

	halted       bool
	spends       map[name]*spend // by id
	order        []*spend        // the signed ones, as they were signed first
	tickets      map[name]held
	payouts      map[name]*spend // by id and attempt
	destinations map[name]*destination
	registered   map[name]int // how many, by merchant and network
	asks         map[name]*asked
	days         map[dayKey]*day
}

func newBook() *book {
	return &book{epoch: 1, merchant: map[uint32]string{}, branch: map[string]uint32{}, next: map[lane]uint32{},
		spends: map[name]*spend{}, tickets: map[name]held{}, payouts: map[name]*spend{}, destinations: map[name]*destination{},
		registered: map[name]int{}, asks: map[name]*asked{}, days: map[dayKey]*day{}}
}

// mark is the first index of a lane that never left.
func (b *book) mark(l lane) uint32 { return max(b.next[l], b.floor) }

// The kinds of record. A number is never used again for another one.
const (
	kindBind  byte = 1 // a merchant is bound to a branch
	kindMark  byte = 2 // a lane's mark rises
	kindEpoch byte = 3 // a new epoch begins
	kindSkip  byte = 4 // every lane's mark, and the floor, rise by the same: what was released is not known for sure
)

// A record is one thing that the journal says. check tells whether the book allows it, apply takes it in, with the book's
// at and spot set; between the two it becomes durable. Encoded it is kind 1, time in Unix milliseconds 8, then the fields, big-endian.
type record interface {
	kind() byte
	fields() []byte
	check(b *book) error
	apply(b *book)
}

type bind struct {
	branch   uint32
	merchant string
}

func (bind) kind() byte { return kindBind }

func (r bind) fields() []byte {
	return append(binary.BigEndian.AppendUint32(nil, r.branch), r.merchant...)
}

func (r bind) check(b *book) error {
	if r.branch >= MaxIndex {
		return fmt.Errorf("%w: branch %d", errRecord, r.branch)
	}
	if _, taken := b.merchant[r.branch]; taken {
		return fmt.Errorf("%w: branch %d is another merchant's", ErrBinding, r.branch)
	}
	if has, taken := b.branch[r.merchant]; taken {
		return fmt.Errorf("%w: merchant %s has branch %d", ErrBinding, r.merchant, has)
	}
	return checkMerchant(r.merchant)
}

func (r bind) apply(b *book) { b.merchant[r.branch], b.branch[r.merchant] = r.merchant, r.branch }

type mark struct {
	lane lane
	next uint32
}

func (mark) kind() byte { return kindMark }

func (r mark) fields() []byte {
	out := binary.BigEndian.AppendUint32(nil, r.lane.branch)
	out = binary.BigEndian.AppendUint32(out, r.next)
	return append(out, r.lane.network...)
}

func (r mark) check(b *book) error {
	if _, bound := b.merchant[r.lane.branch]; !bound {
		return fmt.Errorf("%w: branch %d is nobody's", errRecord, r.lane.branch)
	}
	if r.next > MaxIndex {
		return fmt.Errorf("%w: %d on %s", ErrExhausted, r.lane.branch, r.lane.network)
	}
	if was := b.mark(r.lane); r.next <= was {
		return fmt.Errorf("%w: mark %d is not above %d", errRecord, r.next, was)
	}
	return nil
}

func (r mark) apply(b *book) { b.next[r.lane] = r.next }

type epoch struct{ number uint64 }

func (epoch) kind() byte { return kindEpoch }

func (r epoch) fields() []byte { return binary.BigEndian.AppendUint64(nil, r.number) }

func (r epoch) check(b *book) error {
	if r.number <= b.epoch {
		return fmt.Errorf("%w: epoch %d is not above %d", errRecord, r.number, b.epoch)
	}
	return nil
}

func (r epoch) apply(b *book) { b.epoch = r.number }

type skip struct{ by uint32 }

func (skip) kind() byte { return kindSkip }

func (r skip) fields() []byte { return binary.BigEndian.AppendUint32(nil, r.by) }

func (r skip) check(*book) error {
	if r.by < 1 || r.by >= MaxIndex {
		return fmt.Errorf("%w: skip by %d", errRecord, r.by)
	}
	return nil
}

// apply stops at the end of a branch, which is then exhausted.
func (r skip) apply(b *book) {
	for l, next := range b.next {
		b.next[l] = min(max(next, b.floor)+r.by, MaxIndex)
	}
	b.floor = min(b.floor+r.by, MaxIndex)
}

// encode writes a record's payload.
func encode(r record, at int64) []byte {
	out := binary.BigEndian.AppendUint64([]byte{r.kind()}, uint64(at))
	return append(out, r.fields()...)
}

// decode reads a payload.
func decode(payload []byte) (record, error) {
	if len(payload) < 9 {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, len(payload))
	}
	kind, fields := payload[0], payload[9:]
	n := len(fields)
	switch {
	case kind == kindBind && n > 4 && n <= 4+MaxMerchant:
		return bind{binary.BigEndian.Uint32(fields), string(fields[4:])}, nil
	case kind == kindMark && n > 8 && n <= 8+MaxNetwork:
		at := lane{binary.BigEndian.Uint32(fields), money.Network(fields[8:])}
		return mark{at, binary.BigEndian.Uint32(fields[4:])}, nil
	case kind == kindEpoch && n == 8:
		return epoch{binary.BigEndian.Uint64(fields)}, nil
	case kind == kindSkip && n == 4:
		return skip{binary.BigEndian.Uint32(fields)}, nil
	case kind == kindHalt && n == 1 && fields[0] <= 1:
		return halt{fields[0] == 1}, nil
	}
	if read := readerOf(kind); read != nil {
		f := &fieldReader{rest: fields}
		if r := read(f); f.done() {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: kind %d with %d bytes", errRecord, kind, n)
}

// readerOf reads the fields of the kinds that hold texts.
func readerOf(kind byte) func(*fieldReader) record {
	switch kind {
	case kindDecide:
		return readDecide
	case kindAsk:
		return readAsk
	case kindIntent:
		return readIntent
	case kindSigned:
		return readSignature
	case kindVoid:
		return readVoid
	}
	return nil
}

// checkMerchant allows what an id can be: printable ASCII without spaces.
func checkMerchant(id string) error { return checkText("a merchant id", id, MaxMerchant) }

func checkText(what, text string, limit int) error {
	if len(text) < 1 || len(text) > limit {
		return fmt.Errorf("%w: %s has 1 to %d bytes", ErrWant, what, limit)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return fmt.Errorf("%w: %s is printable ASCII", ErrWant, what)
		}
	}
	return nil
}
