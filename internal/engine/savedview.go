package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// SavedViewTx keeps the views that people save.
type SavedViewTx interface {
	// AddSavedView of a name that the person has at the merchant is payment.ErrConflict.
	AddSavedView(v payment.SavedView) error
	// SavedViews are a person's at a merchant, by name.
	SavedViews(user, merchant payment.ID, limit int) ([]payment.SavedView, error)
	// RenameSavedView saves Name; RemoveSavedView forgets a view. payment.ErrConflict where it is not there.
	RenameSavedView(v payment.SavedView) error
	RemoveSavedView(v payment.SavedView) error
}

// SavedViews are the person's at their merchant, by name. They are nobody else's, so they are not in the audit log.
func (o *Office) SavedViews(ctx context.Context, by By) (all []payment.SavedView, err error) {
	err = o.Store.View(ctx, func(tx Tx) (err error) {
		all, err = tx.SavedViews(by.User.ID, by.Merchant.ID, MaxViews)
		return err
	})
	return all, err
}

// SaveView keeps a query by a name. Errors: malformed, taken, too-many.
func (o *Office) SaveView(ctx context.Context, by By, name, query string) error {
	name = strings.TrimSpace(name)
	if err := printable("view", name, MaxViewName); err != nil {
		return err
	}
	if len(query) > MaxViewQuery {
		return payment.Malformed("view", "has filters that are too long")
	}
	return o.viewed(ctx, by, func(tx Tx, by By, all []payment.SavedView) error {
		if len(all) >= MaxViews {
			e := payment.Refuse(payment.Limit, payment.WordTooMany, "at most %d views", MaxViews)
			e.Field = "view"
			return e
		}
		if err := freeName(all, name); err != nil {
			return err
		}
		return tx.AddSavedView(payment.SavedView{
			ID: tx.NewID(), UserID: by.User.ID, MerchantID: by.Merchant.ID, Name: name, Query: query, CreatedAt: tx.Now(),
		})
	})
}

// RenameView gives a view another name. Errors: malformed, taken, no-such-call for one that is not the person's.
func (o *Office) RenameView(ctx context.Context, by By, id payment.ID, name string) error {
	name = strings.TrimSpace(name)
	if err := printable("view", name, MaxViewName); err != nil {
		return err
	}
	return o.viewed(ctx, by, func(tx Tx, _ By, all []payment.SavedView) error {
		v, err := viewOf(all, id)
		if err != nil || v.Name == name {
			return err
		}
		if err := freeName(all, name); err != nil {
			return err
		}
		v.Name = name
		return tx.RenameSavedView(v)
	})
}

// RemoveView forgets a view. Error: no-such-call for one that is not the person's.
func (o *Office) RemoveView(ctx context.Context, by By, id payment.ID) error {
	return o.viewed(ctx, by, func(tx Tx, _ By, all []payment.SavedView) error {
		v, err := viewOf(all, id)
		if err != nil {
			return err
		}
		return tx.RemoveSavedView(v)
	})
}

// viewed does something with a person's views.
func (o *Office) viewed(ctx context.Context, by By, do func(tx Tx, by By, all []payment.SavedView) error) error {
	return o.Store.Update(ctx, func(tx Tx) error {
		by, err := acting(tx, by)
		if err != nil {
			return err
		}
		all, err := tx.SavedViews(by.User.ID, by.Merchant.ID, MaxViews)
		if err != nil {
			return err
		}
		return do(tx, by, all)
	})
}

func viewOf(all []payment.SavedView, id payment.ID) (payment.SavedView, error) {
	for _, v := range all {
		if v.ID == id {
			return v, nil
		}
	}
	return payment.SavedView{}, payment.Refuse(payment.NotFound, payment.WordNoRoute, "there is no such view any more")
}

func freeName(all []payment.SavedView, name string) error {
	if slices.ContainsFunc(all, func(v payment.SavedView) bool { return v.Name == name }) {
		e := payment.Refuse(payment.Conflict, WordTaken, "you have a view of this name already")
		e.Field = "view"
		return e
	}
	return nil
}
