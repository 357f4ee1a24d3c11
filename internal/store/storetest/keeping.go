package storetest

import (
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

func notes(t *testing.T, s *suite) {
	i, other := s.invoice(), s.invoice()
	add := func(of payment.Invoice, text string) payment.Note {
		var n payment.Note
		s.update(func(tx engine.Tx) error {
			n = payment.Note{ID: newID(tx), InvoiceID: of.ID, AuthorID: makeID(1), Author: "a@shop.example", Text: text, CreatedAt: s.now}
			return tx.AddNote(n)
		})
		return n
	}
	a, b, c := add(i, "전화함\n'다시'"), add(i, "<b>"), add(other, "else")
	of := func(i payment.ID, limit int) []payment.Note {
		return get(s, func(tx engine.Tx) ([]payment.Note, error) { return tx.Notes(i, limit) })
	}
	same(t, "notes", of(i.ID, 9), []payment.Note{a, b})
	same(t, "the oldest", of(i.ID, 1), []payment.Note{a})
	same(t, "nobody's", of(makeID(9), 9), []payment.Note{})
	s.refused("the same twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.AddNote(a) })
	s.refused("another invoice's", payment.ErrConflict, func(tx engine.Tx) error {
		n := c
		n.InvoiceID = i.ID
		return tx.RemoveNote(n)
	})
	s.update(func(tx engine.Tx) error { return tx.RemoveNote(a) })
	s.refused("removed twice", payment.ErrConflict, func(tx engine.Tx) error { return tx.RemoveNote(a) })
	same(t, "one less", of(i.ID, 9), []payment.Note{b})
	same(t, "the other's", of(other.ID, 9), []payment.Note{c})
}

func savedViews(t *testing.T, s *suite) {
	u, v := s.user("a@shop.example"), s.user("b@shop.example")
	m, m2 := s.merchant(), s.merchant()
	add := func(user payment.User, merchant payment.Merchant, name string) payment.SavedView {
		var w payment.SavedView
		s.update(func(tx engine.Tx) error {
			w = payment.SavedView{
				ID: newID(tx), UserID: user.ID, MerchantID: merchant.ID, Name: name, Query: "coin=BTC&q=%ED%95%9C", CreatedAt: s.now.Truncate(time.Millisecond),
			}
			return tx.AddSavedView(w)
		})
		return w
	}
	b, a := add(u, m, "b"), add(u, m, "a 어제")
	theirs, there := add(v, m, "b"), add(u, m2, "b")
	of := func(u payment.User, m payment.Merchant, limit int) []payment.SavedView {
		return get(s, func(tx engine.Tx) ([]payment.SavedView, error) { return tx.SavedViews(u.ID, m.ID, limit) })
	}
	same(t, "views", of(u, m, 9), []payment.SavedView{a, b})
	same(t, "at most one", of(u, m, 1), []payment.SavedView{a})
	same(t, "another's", of(v, m, 9), []payment.SavedView{theirs})
	same(t, "elsewhere", of(u, m2, 9), []payment.SavedView{there})
	s.refused("a name twice", payment.ErrConflict, func(tx engine.Tx) error {
		w := a
		w.ID = newID(tx)
		return tx.AddSavedView(w)
	})
	s.refused("renamed to a name twice", payment.ErrConflict, func(tx engine.Tx) error {
		w := a
		w.Name = "b"
		return tx.RenameSavedView(w)
	})
	a.Name = "c"
	s.update(func(tx engine.Tx) error { return tx.RenameSavedView(a) })
	same(t, "renamed", of(u, m, 9), []payment.SavedView{b, a})
	mine := theirs
	mine.UserID = u.ID
	s.refused("renaming another's", payment.ErrConflict, func(tx engine.Tx) error { return tx.RenameSavedView(mine) })
	s.refused("removing another's", payment.ErrConflict, func(tx engine.Tx) error { return tx.RemoveSavedView(mine) })
	s.update(func(tx engine.Tx) error { return tx.RemoveSavedView(b) })
	same(t, "removed", of(u, m, 9), []payment.SavedView{a})
}
