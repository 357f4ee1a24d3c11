package engine

import (
	"context"
	"errors"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A ParkedLetter is one that was given up. Useless tells that the link in it is dead, or that it does not keep what it said: whoever
// wanted it asks for another.
type ParkedLetter struct {
	payment.Mail
	Useless bool
}

// ParkedLetters are those that were given up, before an id, the newest first, at most PageRows+1, and how many there are, at most
// MaxCounted.
func (o *Office) ParkedLetters(ctx context.Context, before payment.ID) (all []ParkedLetter, n int, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		all = nil
		if n, err = tx.CountParkedMails(MaxCounted); err != nil {
			return err
		}
		mails, err := tx.ParkedMails(before, PageRows+1)
		if err != nil {
			return err
		}
		for _, m := range mails {
			useless, err := useless(tx, m)
			if err != nil {
				return err
			}
			m.Sealed = nil
			all = append(all, ParkedLetter{m, useless})
		}
		return nil
	})
	return all, n, err
}

func useless(tx Tx, m payment.Mail) (bool, error) {
	if len(m.Sealed) == 0 {
		return true, nil
	}
	if m.LinkID == "" {
		return false, nil
	}
	l, err := tx.Link(m.LinkID)
	if errors.Is(err, payment.ErrAbsent) {
		return true, nil
	}
	return err == nil && !l.Open(tx.Now()), err
}

// RetryLetters has letters tried again that were given up: one, or with "" the newest Batch of them. Those that are useless stay. It
// answers how many go out. Error: dead-link for one that cannot be tried again.
func (o *Office) RetryLetters(ctx context.Context, by By, id payment.ID) (n int, err error) {
	return n, o.eachParked(ctx, id, func(tx Tx, all []payment.Mail) error {
		n = 0
		for _, m := range all {
			if useless, err := useless(tx, m); err != nil {
				return err
			} else if useless {
				continue
			}
			m.State, m.Attempts, m.DueAt, m.DoneAt, m.LeaseUntil = payment.MailOpen, 0, tx.Now(), time.Time{}, time.Time{}
			if err := tx.SwapMail(m, m.Fence); err != nil {
				return err
			}
			n++
		}
		if n == 0 && id != "" {
			return deadLink()
		}
		return Record(tx, by, "", Act{Action: "letter.retry", Subject: string(id), Data: map[string]any{"letters": n}})
	})
}

// DropLetters forgets letters that were given up: one, or with "" the newest Batch of them. It answers how many.
func (o *Office) DropLetters(ctx context.Context, by By, id payment.ID) (n int, err error) {
	return n, o.eachParked(ctx, id, func(tx Tx, all []payment.Mail) error {
		n = len(all)
		for _, m := range all {
			if err := tx.RemoveMail(m); err != nil {
				return err
			}
		}
		return Record(tx, by, "", Act{Action: "letter.drop", Subject: string(id), Data: map[string]any{"letters": n}})
	})
}

// eachParked hands one letter that was given up, or many, to an act. Error: dead-link where the one is not, or not any more.
func (o *Office) eachParked(ctx context.Context, id payment.ID, act func(tx Tx, all []payment.Mail) error) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		if id == "" {
			all, err := tx.ParkedMails("", Batch)
			if err != nil {
				return err
			}
			return act(tx, all)
		}
		m, err := tx.Mail(id)
		if errors.Is(err, payment.ErrAbsent) || err == nil && m.State != payment.MailParked {
			return payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such letter any more")
		}
		if err != nil {
			return err
		}
		return act(tx, []payment.Mail{m})
	})
}
