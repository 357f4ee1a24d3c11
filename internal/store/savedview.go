package store

import (
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddSavedView stores a view. A name that the person has there already is payment.ErrConflict.
func (t *tx) AddSavedView(v payment.SavedView) error {
	return t.fail("add view", t.q.AddSavedView(t.ctx, row.AddSavedViewParams{
		ID: string(v.ID), UserID: string(v.UserID), MerchantID: string(v.MerchantID), Name: v.Name, Query: v.Query, CreatedAt: millis(v.CreatedAt),
	}))
}

// SavedViews are a person's at a merchant, by name.
func (t *tx) SavedViews(user, merchant payment.ID, limit int) ([]payment.SavedView, error) {
	rows, err := t.q.SavedViews(t.ctx, row.SavedViewsParams{UserID: string(user), MerchantID: string(merchant), Most: atMost(limit)})
	return plainly(rows, savedView), t.fail("list views", err)
}

// RenameSavedView saves a view's name.
func (t *tx) RenameSavedView(v payment.SavedView) error {
	n, err := t.q.RenameSavedView(t.ctx, row.RenameSavedViewParams{
		Name: v.Name, ID: string(v.ID), UserID: string(v.UserID), MerchantID: string(v.MerchantID),
	})
	return t.swapped("rename view", n, err)
}

// RemoveSavedView forgets a view.
func (t *tx) RemoveSavedView(v payment.SavedView) error {
	n, err := t.q.RemoveSavedView(t.ctx, row.RemoveSavedViewParams{ID: string(v.ID), UserID: string(v.UserID), MerchantID: string(v.MerchantID)})
	return t.swapped("remove view", n, err)
}

func savedView(r row.SavedView) payment.SavedView {
	return payment.SavedView{
		ID: payment.ID(r.ID), UserID: payment.ID(r.UserID), MerchantID: payment.ID(r.MerchantID), Name: r.Name, Query: r.Query, CreatedAt: at(r.CreatedAt),
	}
}
