package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

func versions(t *testing.T, s *suite) {
	sp, tickets := s.spendOf(s.merchant().ID, makeID(1))
	s.addSpend(sp, tickets)
	version := func(n int) payment.Version {
		return payment.Version{
			SpendID: sp.ID, Number: n, Rate: money.Of(money.BTC, 1000), Fee: money.Of(money.BTC, 200), Change: money.Of(money.BTC, 3),
			Unsigned: []byte("psbt\xff\x00"), MadeAt: s.now, Shares: []payment.Share{
				{PayoutID: makeID(7), Net: money.Of(money.BTC, 5), Fee: money.Of(money.BTC, 1)},
				{PayoutID: makeID(6), Net: money.Of(money.BTC, 4), Fee: money.Of(money.BTC, 0)},
			},
		}
	}
	v := version(1)
	read := func(tx engine.Tx) (payment.Version, error) { return tx.Version(sp.ID, 1) }
	absent(s, "version", read)
	s.refused("a version of no spend", payment.ErrAbsent, func(tx engine.Tx) error {
		w := v
		w.SpendID = makeID(9)
		return tx.AddVersion(w)
	})
	s.update(func(tx engine.Tx) error { return tx.AddVersion(v) })
	s.refused("a number twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddVersion(v) })
	same(t, "version", get(s, read), v)
	if got := get(s, read); got.Raw != nil {
		t.Errorf("a version that was not signed has the bytes %v, want nil", got.Raw)
	}
	sent := func(n int, at time.Time) error {
		return s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.MarkSent(sp.ID, n, at) })
	}
	if sent(1, s.now) == nil {
		t.Error("a version was sent that was not signed")
	}
	sign := func(n int, raw, txid string) func(tx engine.Tx) error {
		return func(tx engine.Tx) error { return tx.SignVersion(sp.ID, n, []byte(raw), txid) }
	}
	find := func(txid string) func(tx engine.Tx) (payment.Version, error) {
		return func(tx engine.Tx) (payment.Version, error) { return tx.TxIDVersion(bitcoin, txid) }
	}
	absent(s, "version by txid", find("tx1"))
	absent(s, "version by no txid", find(""))
	s.refused("a signature of no version", payment.ErrAbsent, sign(2, "x", "y"))
	for name, bad := range map[string]func(tx engine.Tx) error{"no bytes": sign(1, "", "tx1"), "no txid": sign(1, "raw", "")} {
		if err := s.store.Update(context.Background(), bad); err == nil {
			t.Errorf("a signature with %s was stored", name)
		}
	}
	s.update(sign(1, "raw\x00\xfe", "tx1"))
	v.Raw, v.TxID = []byte("raw\x00\xfe"), "tx1"
	same(t, "signed version", get(s, read), v)
	s.update(sign(1, "raw\x00\xfe", "tx1"))
	s.refused("other bytes", payment.ErrConflict, sign(1, "raw\x00\xff", "tx1"))
	s.refused("another txid", payment.ErrConflict, sign(1, "raw\x00\xfe", "tx2"))
	same(t, "signed version", get(s, read), v)

	for n := range 2 { // the second time changes nothing
		if err := sent(1, s.now.Add(time.Duration(n+1)*time.Minute)); err != nil {
			t.Error(err)
		}
	}
	v.SentAt = s.now.Add(time.Minute)
	same(t, "sent version", get(s, read), v)
	s.refused("no version sent", payment.ErrAbsent, func(tx engine.Tx) error { return tx.MarkSent(sp.ID, 2, s.now) })

	third := version(3)
	third.Raw, third.TxID, third.SentAt, third.Shares = []byte("raw3"), "tx3", s.now, nil
	second := version(2)
	for _, w := range []payment.Version{third, second} {
		s.update(func(tx engine.Tx) error { return tx.AddVersion(w) })
	}
	same(t, "versions", get(s, func(tx engine.Tx) ([]payment.Version, error) { return tx.Versions(sp.ID) }),
		[]payment.Version{v, second, third})
	same(t, "version by txid", get(s, find("tx3")), third)
	absent(s, "version by txid elsewhere", func(tx engine.Tx) (payment.Version, error) { return tx.TxIDVersion(ethereum, "tx3") })
	for name, change := range map[string]func(*payment.Version){
		"with the noughth number": func(v *payment.Version) { v.Number = 0 },
		"without bytes to sign":   func(v *payment.Version) { v.Unsigned = nil },
		"signed without a txid":   func(v *payment.Version) { v.Raw = []byte("x") },
		"with a txid of nothing":  func(v *payment.Version) { v.TxID = "x" },
		"sent and not signed":     func(v *payment.Version) { v.SentAt = s.now },
		"of another coin":         func(v *payment.Version) { v.Rate = wei("1") },
		"with a share of another": func(v *payment.Version) { v.Shares[1].Net = wei("1") },
	} {
		bad := version(9)
		change(&bad)
		if err := s.store.Update(context.Background(), func(tx engine.Tx) error { return tx.AddVersion(bad) }); err == nil {
			t.Errorf("a version %s was stored", name)
		}
	}
}
