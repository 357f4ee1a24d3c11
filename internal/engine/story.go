package engine

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A Story is all that is known of one invoice: what is, what happened, what was told to the shop, and what people did.
type Story struct {
	payment.Facts
	Application payment.Application
	Events      []payment.Event          // the oldest first
	Callbacks   []ToldStory              // the oldest first
	Records     []payment.AuditRecord    // of what people did to it, the newest first
	Notes       []payment.Note           // the oldest first
	Wrong       []WrongCoin              // the oldest first
	Needs       []Need                   // what it needs of a person now
	Tips        map[money.Network]uint64 // heights of the nodes' newest blocks
	Now         time.Time
}

// A ToldStory is a callback with its tries, the first first.
type ToldStory struct {
	payment.Callback
	Tries []payment.Attempt
}

// Have is how many blocks are on a deposit, its own included; 0 outside blocks.
func (s Story) Have(d payment.Deposit) int {
	tip := s.Tips[d.Network]
	if d.Height == 0 || tip < d.Height {
		return 0
	}
	return int(min(tip-d.Height+1, math.MaxInt32))
}

// Story is that of a merchant's invoice. Error: no-such-invoice, also for another merchant's.
func (d *Desk) Story(ctx context.Context, merchant, id payment.ID) (s Story, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		s = Story{Now: tx.Now(), Tips: map[money.Network]uint64{}}
		if s.Facts, err = merchantFacts(tx, merchant, id); err != nil {
			return err
		}
		if s.Application, err = tx.Application(s.Invoice.ApplicationID); err != nil {
			return err
		}
		if s.Events, err = tx.Events(id, MaxStory); err != nil {
			return err
		}
		told, err := tx.Callbacks(id, MaxStory)
		if err != nil {
			return err
		}
		for _, c := range told {
			tries, err := tx.Attempts(c.ID, MaxStory)
			if err != nil {
				return err
			}
			s.Callbacks = append(s.Callbacks, ToldStory{c, tries})
		}
		for _, n := range d.Nets {
			state, err := networkState(tx, n.Network)
			if err != nil {
				return err
			}
			s.Tips[n.Network] = state.Height
		}
		if s.Notes, err = tx.Notes(id, MaxNotes); err != nil {
			return err
		}
		if s.Wrong, err = tx.InvoiceWrongCoins(id, MaxStory); err != nil {
			return err
		}
		if s.Needs, err = needs(tx, s.Facts, s.Wrong); err != nil {
			return err
		}
		s.Records, err = tx.AuditRecords(merchant, string(id), math.MaxInt64, MaxStory)
		return err
	})
	return s, err
}

// merchantFacts are those of a merchant's invoice.
func merchantFacts(tx Tx, merchant, id payment.ID) (payment.Facts, error) {
	f, err := tx.Facts(id)
	if errors.Is(err, payment.ErrAbsent) || err == nil && (merchant == "" || f.Invoice.MerchantID != merchant) {
		return payment.Facts{}, noInvoice()
	}
	return f, err
}

// RefundInvoice asks for the refund of an invoice of the person's merchant, and writes down who did. Errors: as AskRefund.
func (d *Desk) RefundInvoice(ctx context.Context, by By, id payment.ID) (payment.Payout, error) {
	var app payment.Application
	err := d.Store.View(ctx, func(tx Tx) error {
		f, err := merchantFacts(tx, by.Merchant.ID, id)
		if err != nil {
			return err
		}
		app, err = tx.Application(f.Invoice.ApplicationID)
		return err
	})
	if err != nil {
		return payment.Payout{}, err
	}
	p, _, err := d.AskRefund(ctx, AskRefund{Application: app, Invoice: id, By: by})
	return p, err
}

// Resend sends a callback of the person's merchant once more, with the same id, at once: one that was delivered too. One that
// was given up is tried once and given up again if that fails. Errors: malformed for one that the merchant does not have,
// wrong-state for one that is on its way.
func (d *Desk) Resend(ctx context.Context, by By, id payment.ID) error {
	return d.Store.Update(ctx, func(tx Tx) error {
		absent := payment.Malformed("callback", "no such callback")
		c, err := tx.Callback(id)
		if errors.Is(err, payment.ErrAbsent) {
			return absent
		} else if err != nil {
			return err
		}
		app, err := tx.Application(c.ApplicationID)
		if err != nil {
			return err
		}
		if by.Merchant.ID == "" || app.MerchantID != by.Merchant.ID {
			return absent
		}
		if c.State == payment.CallbackOpen && c.LeaseUntil.After(tx.Now()) {
			return closed("this callback is being sent right now")
		}
		if err := reopen(tx, c); err != nil {
			return err
		}
		return Record(tx, by, by.Merchant.ID, Act{Action: "callback.resend", Subject: string(c.InvoiceID), Data: map[string]any{
			"callback": c.ID, "was": c.State, "tries": c.Attempts,
		}})
	})
}

// reopen makes a callback due now. An open one that waits for its next try is tried at once.
func reopen(tx Tx, c payment.Callback) error {
	if err := payment.CallbackEdges.Check(c.State, payment.CallbackOpen); err != nil {
		return err
	}
	c.State, c.DueAt, c.DoneAt, c.LeaseUntil = payment.CallbackOpen, tx.Now(), time.Time{}, time.Time{}
	return tx.SwapCallback(c, c.Fence)
}

// ResendAll sends what stands in a pile of the person's merchant and was made within a span once more, at most MaxResend, the
// newest first, and answers how many. Those that are being sent right now are left alone.
func (d *Desk) ResendAll(ctx context.Context, by By, p Pile) (n int, err error) {
	all, err := d.MerchantCallbacks(ctx, by.Merchant.ID, p, MaxResend)
	if err != nil {
		return 0, err
	}
	for len(all) > 0 {
		batch := all[:min(len(all), Batch)]
		all = all[len(batch):]
		again := 0
		err := d.Store.Update(ctx, func(tx Tx) error {
			again = 0
			for _, line := range batch {
				c, err := tx.Callback(line.ID)
				if err != nil {
					return err
				}
				if c.State != line.State || c.LeaseUntil.After(tx.Now()) {
					continue // it moved meanwhile
				}
				if err := reopen(tx, c); err != nil {
					return err
				}
				again++
			}
			return Record(tx, by, by.Merchant.ID, Act{Action: "callback.resend-all", Data: map[string]any{
				"pile": p.Kind, "application": p.Application, "callbacks": again, "first": batch[len(batch)-1].ID, "last": batch[0].ID,
			}})
		})
		if err != nil {
			return n, err
		}
		n += again
	}
	return n, nil
}

// NewID makes an id, for forms that must not do twice what is sent twice.
func (d *Desk) NewID(ctx context.Context) (id payment.ID, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		id = tx.NewID()
		return nil
	})
	return id, err
}

// A RefundCost is what the refund of an invoice would come to now. Fee is an estimate and Net what the payer would get of Amount;
// both are the zero Amount where nobody can say. To is "" where the payer will be asked.
type RefundCost struct {
	Network          money.Network
	To               string
	Amount, Fee, Net money.Amount
}

// RefundCost refuses as AskRefund would.
func (d *Desk) RefundCost(ctx context.Context, merchant, id payment.ID) (c RefundCost, err error) {
	err = d.Store.View(ctx, func(tx Tx) error {
		f, err := merchantFacts(tx, merchant, id)
		if err != nil {
			return err
		}
		p, err := refundable(f)
		c = RefundCost{Network: p.Network, To: p.To}
		if err == nil {
			c.Amount = f.Refundable(p.Network)
		}
		return err
	})
	reader, ok := d.Fees[c.Network]
	if err != nil || !ok {
		return c, err
	}
	fees, err := reader.Fees(ctx)
	if err != nil {
		d.Log.WarnContext(ctx, "fees are not known just now", "network", c.Network, "error", err)
		return c, nil
	}
	if net := c.Amount.Sub(fees.Plain); net.Sign() > 0 {
		c.Fee, c.Net = fees.Plain, net
	}
	return c, nil
}
