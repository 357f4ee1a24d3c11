package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// AskEmail sends a link to a new address, by which its owner confirms it, and another to the old one, by which its owner undoes
// it all. Nothing changes before the new address is confirmed. It answers the same for an address that has an account: the letter
// says so. The person must have stepped up. Errors: malformed, taken, second-factor, too-many, role where no letters are sent.
func (o *Office) AskEmail(ctx context.Context, by By, email string) error {
	email, ok := payment.ParseEmail(email)
	if !ok {
		return payment.Malformed("email", "write an e-mail address like name@shop.example")
	}
	if !o.Mails {
		e := payment.Refuse(payment.Forbidden, WordRole, "no letters are sent here, so nobody can prove a new address")
		e.Field = "email"
		return e
	}
	return o.Store.Update(ctx, func(tx Tx) error {
		u, s, err := again(tx, by)
		if err != nil {
			return err
		}
		if !tx.Now().Before(s.StepUpTill) {
			return noFactor("confirm that it is you first")
		}
		if email == u.Email {
			e := payment.Refuse(payment.Conflict, WordTaken, "this is your address already")
			e.Field = "email"
			return e
		}
		if err := fewAsks(tx, u.ID); err != nil {
			return err
		}
		l, err := o.newLink(tx, payment.Link{Kind: payment.LinkEmail, Email: email, Language: u.Language, UserID: u.ID, MadeBy: u.ID}, EmailFor)
		if err != nil {
			return err
		}
		to, kind, values := payment.User{Email: email, Language: u.Language}, payment.MailEmail, map[string]string{"link": l}
		if other, err := tx.UserByEmail(email); err == nil {
			to, kind, values = other, payment.MailTaken, map[string]string{} // the link is as much work, and nobody gets it
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		if err := o.letter(tx, to, kind, values); err != nil {
			return err
		}
		if err := o.offerUndo(tx, u, Act{Action: "email.ask", Subject: email}, by.IP); err != nil {
			return err
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "email.ask", Subject: string(u.ID), Data: map[string]any{"to": email}})
	})
}

// fewAsks refuses what would send strangers more letters than a change of mind explains.
func fewAsks(tx Tx, user payment.ID) error {
	asked, err := tx.PersonLinks(user, payment.LinkEmail, MaxEmailAsks)
	if err != nil {
		return err
	}
	undos, err := tx.PersonLinks(user, payment.LinkUndo, MaxEmailUndos)
	if err != nil {
		return err
	}
	if len(asked) >= MaxEmailAsks || len(undos) >= MaxEmailUndos {
		e := payment.Refuse(payment.Limit, payment.WordTooMany, "you asked for this too often: confirm one of the letters, or wait")
		e.Field = "email"
		return e
	}
	return nil
}

// offerUndo tells the address that somebody had until now of a change, with a link that undoes it. The act's subject is the new
// address.
func (o *Office) offerUndo(tx Tx, was payment.User, a Act, ip string) error {
	l, err := o.newLink(tx, payment.Link{Kind: payment.LinkUndo, Email: was.Email, Language: was.Language, UserID: was.ID, MadeBy: was.ID}, UndoFor)
	if err != nil {
		return err
	}
	return o.letter(tx, was, payment.MailUndo, map[string]string{"link": l, "what": a.Action, "subject": a.Subject, "ip": ip})
}

// ConfirmEmail changes somebody's address by the link that was sent to the new one. by is whoever holds the link: nobody who is
// logged in, or anybody. All sessions of the person end but the one they act in, and other changes that waited are off. The link is
// used up. Errors: dead-link, taken where another got the address meanwhile.
func (o *Office) ConfirmEmail(ctx context.Context, by By, token string) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		d, u, err := behindKind(tx, token, payment.LinkEmail)
		if err != nil {
			return err
		}
		if d.Known {
			return addressTaken()
		}
		was := u
		u.Email, u.VerifiedAt, u.UpdatedAt = d.Email, tx.Now(), tx.Now()
		if err := tx.SwapUser(u); err != nil {
			return err
		}
		if err := endLinks(tx, u.ID, payment.LinkEmail, d.Link); err != nil {
			return err
		}
		if by.User.ID != u.ID {
			by = By{Caller: by.Caller}
		}
		by.User = u
		if err := endOthers(tx, by); err != nil {
			return err
		}
		if err := o.offerUndo(tx, was, Act{Action: "email.change", Subject: u.Email}, by.IP); err != nil {
			return err
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "email.change", Subject: string(u.ID), Data: map[string]any{"from": was.Email, "to": u.Email}})
	})
}

// UndoEmail takes a change of somebody's address back by the link that was sent to the old one, whether it was confirmed or not. All
// sessions end and the password is void, as somebody else was in the account: it answers the path of a link that sets a new one. Changes
// that wait are off, and so are the links by which those who came after could undo this. Errors: dead-link, taken where the address
// has another account meanwhile.
func (o *Office) UndoEmail(ctx context.Context, token string, from Caller) (path string, err error) {
	err = o.Store.Update(ctx, func(tx Tx) error {
		d, u, err := behindKind(tx, token, payment.LinkUndo)
		if err != nil {
			return err
		}
		was := u
		if d.Known && was.Email != d.Email {
			return addressTaken()
		}
		u.Email, u.Password, u.UpdatedAt = d.Email, "", tx.Now()
		if err := tx.SwapUser(u); err != nil {
			return err
		}
		for _, kind := range []payment.LinkKind{payment.LinkEmail, payment.LinkUndo} {
			if err := endLinks(tx, u.ID, kind, d.Link); err != nil {
				return err
			}
		}
		if was.Email != u.Email {
			if err := o.letter(tx, was, payment.MailSecurity, map[string]string{"what": "email.undo", "ip": from.IP}); err != nil {
				return err
			}
		}
		l, err := o.newLink(tx, payment.Link{Kind: payment.LinkReset, Email: u.Email, Language: u.Language, UserID: u.ID}, ResetFor)
		if err != nil {
			return err
		}
		path = strings.TrimPrefix(l, o.URL)
		return o.changed(tx, By{User: u, Caller: from}, "email.undo")
	})
	return path, err
}

// behindKind finds a link of one kind, and whom it is about.
func behindKind(tx Tx, token string, kind payment.LinkKind) (d Door, u payment.User, err error) {
	if d, err = behind(tx, token); err != nil {
		return d, u, err
	}
	if d.Kind != kind {
		return d, u, deadLink()
	}
	if u, err = tx.User(d.UserID); err == nil && !u.DisabledAt.IsZero() {
		err = deadLink()
	}
	return d, u, err
}

// endLinks ends a person's open links of a kind that are as young as the one that is used, or younger, and that one. Older links to
// undo work on: whoever had the address before the thief has it back, and nobody after. Of those to confirm all end.
func endLinks(tx Tx, user payment.ID, kind payment.LinkKind, used payment.Link) error {
	all, err := tx.PersonLinks(user, kind, Batch)
	if err != nil {
		return err
	}
	for _, l := range all {
		if kind == payment.LinkUndo && l.CreatedAt.Before(used.CreatedAt) {
			continue
		}
		l.UsedAt = tx.Now()
		if err := tx.SwapLink(l); err != nil {
			return err
		}
	}
	return nil
}

func addressTaken() error {
	return payment.Refuse(payment.Conflict, WordTaken, "this address has another account meanwhile: nothing was changed")
}
