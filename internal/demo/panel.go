package demo

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"math/big"
	"net/http"
	"strings"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// panel is the faucet on the payment page: plain forms, which work without script.
func (d *Demo) panel() *app.Panel {
	t := template.Must(template.ParseFS(templateFiles, "templates/panel.html"))
	return &app.Panel{
		Handler: d.panelHandler(),
		Render: func(v engine.View, back string) (template.HTML, error) {
			if v.Quote == nil {
				return "", nil
			}
			var out bytes.Buffer
			due := v.Missing
			if due.IsZero() {
				due = v.Quote.Due
			}
			err := t.Execute(&out, map[string]any{
				"Coin": v.Quote.Coin, "Address": v.Quote.Address, "Back": back, "Korean": v.Invoice.Language == payment.Korean,
				"Payable": v.Invoice.Told.Status != payment.Paid && !v.Covers,
				"Exact":   due.Text(), "Short": share(due, 50).Text(), "More": share(due, 110).Text(),
			})
			return template.HTML(out.String()), err //nolint:gosec // made by html/template right above
		},
	}
}

// share is so many hundredths of an amount, in whole due units.
func share(a money.Amount, percent int64) money.Amount {
	unit := money.DueUnit(a.Currency()).Big()
	n := new(big.Int).Mul(a.Big(), big.NewInt(percent))
	n.Quo(n, big.NewInt(100))
	return money.OfBig(a.Currency(), n.Sub(n, new(big.Int).Mod(n, unit)))
}

func (d *Demo) panelHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /demo/faucet", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		back := r.FormValue("back")
		if !strings.HasPrefix(back, "/invoice-") {
			http.Error(w, "back must be a payment page", http.StatusBadRequest)
			return
		}
		if err := d.faucet(r.Context(), r.FormValue); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
	return mux
}

func (d *Demo) faucet(ctx context.Context, form func(string) string) error {
	coin, chain, err := d.chain(form("coin"))
	if err != nil {
		return err
	}
	if form("do") == "mine" {
		_, _, err := chain.Mine(ctx, 1)
		return err
	}
	amount, err := parseAmount(coin, form("do"))
	if err != nil {
		return fmt.Errorf("amount: %w", err)
	}
	_, err = chain.Pay(ctx, form("address"), amount)
	return err
}
