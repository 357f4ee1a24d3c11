package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/pipe-pg/pipe/internal/app"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// panel is the faucet and the exceptions on the payment page: plain forms, which work without script. Only the demo has it:
// whoever sees it can move its chains.
func (d *Demo) panel() *app.Panel {
	t := template.Must(template.ParseFS(templateFiles, "templates/panel.html"))
	return &app.Panel{
		Handler: d.panelHandler(),
		Render: func(v engine.View, back string) (template.HTML, error) {
			if v.Quote == nil {
				return "", nil
			}
			var out bytes.Buffer
			err := t.Execute(&out, panelOf(v, back))
			return template.HTML(out.String()), err //nolint:gosec // made by html/template right above
		},
	}
}

// panelModel is what the panel offers of an invoice.
type panelModel struct {
	Coin, Address, Back, Invoice string
	Korean                       bool
	Payable                      bool // something is still to come
	Exact, Short, More           string
	Change                       bool // another coin may be sent instead
	Mined, Paid                  bool
}

func panelOf(v engine.View, back string) panelModel {
	due := v.Missing
	if due.IsZero() {
		due = v.Quote.Due
	}
	m := panelModel{
		Coin: string(v.Quote.Coin), Address: v.Quote.Address, Back: back, Invoice: string(v.Invoice.ID),
		Korean:  v.Invoice.Language == payment.Korean,
		Payable: v.Status != payment.Paid && v.Status != payment.Refunded && !v.Covers,
		Exact:   due.Text(), Short: share(due, 50).Text(), More: share(due, 110).Text(),
		Change: v.CanChange && len(v.Invoice.Coins) > 1, Paid: v.Status == payment.Paid,
	}
	for _, dep := range v.Deposits {
		m.Mined = m.Mined || dep.Height > 0
	}
	return m
}

func (d *Demo) panelHandler() http.Handler {
	mux, known := http.NewServeMux(), plays()
	mux.HandleFunc("POST /demo/faucet", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		back := r.FormValue("back")
		if !strings.HasPrefix(back, "/invoice-") {
			http.Error(w, "back must be a payment page", http.StatusBadRequest)
			return
		}
		var err error
		if act, ok := known[r.FormValue("do")]; ok {
			back, err = d.act(r.Context(), act, payment.ID(r.FormValue("invoice")), back)
		} else {
			err = d.faucet(r.Context(), r.FormValue)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
	return mux
}

// act plays something out and tells which page to go on with.
func (d *Demo) act(ctx context.Context, what play, id payment.ID, back string) (string, error) {
	v, err := d.app.Desk.Page(ctx, id)
	switch {
	case err != nil:
		return "", err
	case v.Quote == nil:
		return "", errors.New("choose a coin first")
	}
	next, err := what(d, ctx, v)
	if err != nil || next == id {
		return back, err
	}
	return "/invoice-" + string(next), nil
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
