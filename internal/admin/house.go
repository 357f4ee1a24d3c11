package admin

import (
	"net/http"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// A housePage is what operators see of everything.
type housePage struct {
	frame
	engine.House
	Risks        []riskLine
	Waits        time.Duration // of the oldest callback that is due
	Signer       string        // how it is; "" where nobody could be asked
	SignerBroken bool
	Mails        bool // letters are sent
	Parked       []engine.ParkedLetter
	ParkedAll    int
	ParkedMore   string
	Rates        []rateLine
	Merchants    []payment.Merchant
	More         string
	Settings     []Setting
}

type riskLine struct {
	Network money.Network
	engine.Risk
}

// A rateLine is the price of a coin now, with the votes behind it; Price.Rate is zero where none can be trusted.
type rateLine struct {
	Coin, Currency money.Currency
	payment.Price
}

// house shows how everything is.
func (d *door) house(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showHouse(w, r, v, nil)
}

func (d *door) showHouse(w http.ResponseWriter, r *http.Request, v *visit, refused error) error {
	p := housePage{frame: d.frame(r, v, "nav.house")}
	if s, status, ok := d.refusal(v, refused); ok {
		p.Error, p.Status = s, status
	}
	var err error
	if p.House, err = d.Desk.House(r.Context()); err != nil {
		return err
	}
	for _, n := range p.Networks {
		if risk, ok := p.Risk[n.Network]; ok {
			p.Risks = append(p.Risks, riskLine{n.Network, risk})
		}
	}
	if !p.OldestDue.IsZero() && p.OldestDue.Before(p.Now) {
		p.Waits = p.Now.Sub(p.OldestDue).Truncate(time.Second)
	}
	if d.Options.Signer != nil {
		if p.Signer, err = d.Options.Signer(r.Context()); err != nil {
			p.Signer, p.SignerBroken = "", true
			d.Log.WarnContext(r.Context(), "signer does not say how it is", "error", err)
		}
	}
	if err := d.lettersOf(r, &p); err != nil {
		return err
	}
	p.Rates = d.rates(r)
	if p.Merchants, err = d.Desk.Merchants(r.Context(), payment.ID(r.URL.Query().Get("after"))); err != nil {
		return err
	}
	if len(p.Merchants) > engine.PageRows {
		p.Merchants = p.Merchants[:engine.PageRows]
		p.More = "/house?after=" + queryEscape(string(p.Merchants[engine.PageRows-1].ID)) + "#merchants"
	}
	if d.Options.Settings != nil {
		p.Settings = d.Options.Settings()
	}
	return d.render(w, r, "house", p)
}

// rates are all prices that invoices are made with now.
func (d *door) rates(r *http.Request) []rateLine {
	var all []rateLine
	if d.Desk.Rates == nil {
		return nil
	}
	for _, coin := range []money.Currency{money.BTC, money.ETH} {
		if _, ok := d.Desk.Nets[coin]; !ok {
			continue
		}
		for _, currency := range []money.Currency{money.KRW, money.USD} {
			line := rateLine{Coin: coin, Currency: currency}
			if price, err := d.Desk.Rates.Price(r.Context(), coin, currency); err == nil {
				line.Price = price
			}
			all = append(all, line)
		}
	}
	return all
}

// Covered tells whether the page can say how the signer is.
func (p housePage) Covered() bool { return p.door.Options.Signer != nil }

func (d *door) haltPayouts(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := d.Office.HaltPayouts(r.Context(), v.By, strings.TrimSpace(r.PostForm.Get("reason")))
	if _, _, ok := d.refusal(v, err); ok {
		return d.showHouse(w, r, v, err)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/house", "payouts")
}

func (d *door) resumePayouts(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := d.Office.ResumePayouts(r.Context(), v.By); err != nil {
		return err
	}
	return done(w, r, "/house", "payouts")
}
