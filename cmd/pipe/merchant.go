package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

type merchantCommand struct {
	Add  merchantAddCommand  `cmd:"" help:"Add a merchant."`
	List merchantListCommand `cmd:"" help:"List merchants."`
}

type merchantJSON struct {
	ID        payment.ID `json:"id"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
}

type merchantAddCommand struct {
	Name string `arg:"" help:"Name of the shop owner."`
	JSON bool   `help:"Answer in JSON."`
}

func (c merchantAddCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		m, err := a.Desk.AddMerchant(e.ctx, c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return e.json(merchantJSON{m.ID, m.Name, m.CreatedAt})
		}
		_, err = fmt.Fprintf(e.stdout, "merchant %s\n", m.ID)
		return err
	})
}

type merchantListCommand struct {
	JSON bool `help:"Answer in JSON."`
}

func (c merchantListCommand) Run(e *env) error {
	return e.withDesk(func(a *app.App) error {
		all := []merchantJSON{}
		for after := payment.ID(""); ; {
			page, err := a.Desk.Merchants(e.ctx, after)
			if err != nil {
				return err
			}
			for _, m := range page {
				after = m.ID
				all = append(all, merchantJSON{m.ID, m.Name, m.CreatedAt})
			}
			if len(page) < engine.Batch {
				break
			}
		}
		if c.JSON {
			return e.json(all)
		}
		for _, m := range all {
			if _, err := fmt.Fprintf(e.stdout, "%s  %s\n", m.ID, m.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// json prints a value as indented JSON.
func (e *env) json(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
