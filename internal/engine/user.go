package engine

import (
	"context"
	"errors"

	"github.com/pipe-pg/pipe/internal/payment"
)

// Vacant tells whether nobody has an account.
func (o *Office) Vacant(ctx context.Context) (vacant bool, err error) {
	err = o.Store.View(ctx, func(tx Tx) error {
		all, err := tx.Users("", 1)
		vacant = len(all) == 0
		return err
	})
	return vacant, err
}

// A NewUser is somebody who gets an account from who has the machine.
type NewUser struct {
	Email, Name, Password string
	Language              payment.Language
	Operator              bool
	Merchant              payment.ID // made owner of it; "": of none
}

// AddUser makes an account from the command line; its address counts as proven. Errors: malformed, bad-password, taken.
func (o *Office) AddUser(ctx context.Context, n NewUser) (u payment.User, err error) {
	email, ok := payment.ParseEmail(n.Email)
	if !ok {
		return u, payment.Malformed("email", "write an e-mail address like name@shop.example")
	}
	if err := errors.Join(printable("name", n.Name, payment.MaxName), goodPassword(n.Password, email)); err != nil {
		return u, err
	}
	hash, err := o.Hasher.Hash(ctx, n.Password)
	if err != nil {
		return u, err
	}
	err = o.Store.Update(ctx, func(tx Tx) error {
		if _, err := tx.UserByEmail(email); err == nil {
			return payment.Refuse(payment.Conflict, WordTaken, "there is an account with this e-mail address")
		} else if !errors.Is(err, payment.ErrAbsent) {
			return err
		}
		u = payment.User{
			ID: tx.NewID(), Email: email, Name: n.Name, Language: n.Language, Operator: n.Operator, Password: hash, VerifiedAt: tx.Now(),
			CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
		}
		if u.Language == "" {
			u.Language = payment.English
		}
		if err := tx.AddUser(u); err != nil {
			return err
		}
		act := Act{Action: "user.add", Subject: string(u.ID), Data: map[string]any{"how": "command", "operator": n.Operator}}
		if n.Merchant == "" {
			return Record(tx, By{}, "", act)
		}
		m := payment.Member{UserID: u.ID, MerchantID: n.Merchant, Role: payment.Owner, CreatedAt: tx.Now()}
		return errors.Join(tx.AddMember(m), Record(tx, By{}, n.Merchant, act))
	})
	return u, err
}
