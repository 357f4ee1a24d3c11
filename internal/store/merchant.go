package store

import (
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddMerchant stores a merchant with the next free branch.
func (t *tx) AddMerchant(m payment.Merchant) (uint32, error) {
	branch, err := t.q.NextBranch(t.ctx)
	if err != nil {
		return 0, t.fail("find a free branch", err)
	}
	err = t.q.AddMerchant(t.ctx, row.AddMerchantParams{
		ID: string(m.ID), Name: m.Name, Branch: branch, CreatedAt: millis(m.CreatedAt),
	})
	return uint32(branch), t.fail("add merchant", err)
}

// Merchant finds a merchant.
func (t *tx) Merchant(id payment.ID) (payment.Merchant, error) {
	r, err := t.q.Merchant(t.ctx, string(id))
	return merchant(r), t.fail("find merchant", err)
}

// Merchants are those after an id in id order.
func (t *tx) Merchants(after payment.ID, limit int) ([]payment.Merchant, error) {
	rows, err := t.q.Merchants(t.ctx, row.MerchantsParams{ID: string(after), Most: atMost(limit)})
	all := make([]payment.Merchant, len(rows))
	for i, r := range rows {
		all[i] = merchant(r)
	}
	return all, t.fail("list merchants", err)
}

func merchant(r row.Merchant) payment.Merchant {
	return payment.Merchant{ID: payment.ID(r.ID), Name: r.Name, Branch: uint32(r.Branch), CreatedAt: at(r.CreatedAt)}
}
