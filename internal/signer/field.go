package signer

import (
	"encoding/binary"
	"math/big"

	"github.com/pipe-pg/pipe/internal/money"
)

// Fields of records are big-endian numbers, texts behind their length in two bytes, and amounts behind their length in one.

func appendText(out []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
}

func appendAmount(out []byte, a money.Amount) []byte {
	b := a.Big().Bytes() // amounts in records are never negative
	return append(append(out, byte(len(b))), b...)
}

// fieldReader takes fields off a payload. After the first that is not there all others are empty, and bad says so.
type fieldReader struct {
	rest []byte
	bad  bool
}

func (r *fieldReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, min(n, 8))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *fieldReader) byte() byte { return r.take(1)[0] }

func (r *fieldReader) text(limit int) string {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > limit {
		r.bad = true
		return ""
	}
	return string(r.take(n))
}

func (r *fieldReader) sum() (out [32]byte) {
	copy(out[:], r.take(32))
	return out
}

// amount reads up to 32 bytes in their shortest form.
func (r *fieldReader) amount(c money.Currency) money.Amount {
	n := int(r.byte())
	if n > 32 {
		r.bad = true
		return money.Zero(c)
	}
	b := r.take(n)
	if r.bad || n > 0 && b[0] == 0 {
		r.bad = true
		return money.Zero(c)
	}
	return money.OfBig(c, new(big.Int).SetBytes(b))
}

// done tells whether every byte was read, and none too many.
func (r *fieldReader) done() bool { return !r.bad && len(r.rest) == 0 }
