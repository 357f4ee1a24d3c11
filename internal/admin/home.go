package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

type homePage struct {
	frame
	Factor    bool // a second factor is on
	Steps     []step
	Left      int // steps that are to be done yet
	Attention []attention
	Charts    []chart
	Days      int
	Whole     bool // false: there is more than the charts show
}

// A step is one of the way to the first payment. It knows by itself whether it is done.
type step struct {
	Key  string
	Done bool
	URL  string // where it is done
}

// An attention is something that waits for a person, and where they look at it.
type attention struct {
	engine.Attention
	URL string
}

// periods are the days that the chart can show.
func periods() []int { return []int{7, 30, 90} }

// Periods are what the visitor may choose.
func (p homePage) Periods() []int { return periods() }

// home is the first page of a merchant: what is left to do, what needs attention, and what came in.
func (d *door) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.Merchant.ID == "" {
		return redirect(w, r, "/merchants")
	}
	p := homePage{frame: d.frame(r, v, "nav.home"), Factor: v.Guarded(), Days: 30}
	for _, n := range periods() {
		if r.URL.Query().Get("days") == number(time.Duration(n), 1) {
			p.Days = n
		}
	}
	if err := d.firstSteps(r, v, &p); err != nil {
		return err
	}
	if err := d.needs(r, v, &p); err != nil {
		return err
	}
	_, offset := v.Now.In(d.Zone).Zone()
	zone := time.Duration(offset) * time.Second
	today := v.Now.Add(zone).UnixMilli() / day.Milliseconds()
	since := time.UnixMilli((today-int64(p.Days)+1)*day.Milliseconds() - zone.Milliseconds())
	sales, whole, err := d.Desk.Sales(r.Context(), v.Merchant.ID, since, zone)
	if err != nil {
		return err
	}
	p.Whole, p.Charts = whole, draw(sales, today-int64(p.Days)+1, p.Days, p.Price)
	return d.render(w, r, "home", p)
}

const day = 24 * time.Hour

// firstSteps finds out from facts what was done on the way to the first payment.
func (d *door) firstSteps(r *http.Request, v *visit, p *homePage) error {
	apps, err := d.Desk.MerchantApplications(r.Context(), v.Merchant.ID)
	if err != nil {
		return err
	}
	first := "/applications"
	if len(apps) > 0 {
		first += "/" + string(apps[0].ID)
	}
	made, err := d.Desk.InvoicePage(r.Context(), engine.InvoiceQuery{Merchant: v.Merchant.ID, Limit: 1})
	if err != nil {
		return err
	}
	heard, err := d.Desk.Heard(r.Context(), apps)
	if err != nil {
		return err
	}
	some := func(has func(a payment.Application) bool) bool { return slices.ContainsFunc(apps, has) }
	p.Steps = []step{
		{"step.app", len(apps) > 0, "/applications"},
		{"step.urls", some(func(a payment.Application) bool { return len(a.Origins) > 0 }), first + "#urls"},
		{"step.ips", some(func(a payment.Application) bool { return len(a.Networks) > 0 }), first + "#ips"},
		{"step.coins", some(func(a payment.Application) bool { return len(a.Coins) > 0 }), first + "#coins"},
		{"step.settle", d.receives(r, v, apps), first + "#settlement"},
		{"step.used", len(made) > 0, first + "#keys"},
		{"step.heard", heard, first + "#test"},
		{"step.factor", v.Guarded(), "/account/totp"},
	}
	for _, s := range p.Steps {
		if !s.Done {
			p.Left++
		}
	}
	return nil
}

// receives tells whether coins have somewhere to go: a settlement address of some application is payable, or one has none, as
// its coins then stay in the wallet.
func (d *door) receives(r *http.Request, v *visit, apps []payment.Application) bool {
	for _, a := range apps {
		if len(a.Settlement) == 0 && len(a.Coins) > 0 {
			return true
		}
		for _, s := range d.Integrator.Destined(r.Context(), a, v.Now) {
			if s.State == engine.DestinedPayable {
				return true
			}
		}
	}
	return false
}

// needs finds what waits for a person. What is resolved is not found any more.
func (d *door) needs(r *http.Request, v *visit, p *homePage) error {
	all, err := d.Desk.Attention(r.Context(), v.Merchant.ID)
	if err != nil {
		return err
	}
	lost, err := d.Office.Undelivered(r.Context(), v.Merchant.ID)
	if err != nil {
		return err
	}
	if lost > 0 {
		all = append(all, engine.Attention{Need: engine.NeedLetters, N: lost})
	}
	for _, a := range all {
		p.Attention = append(p.Attention, attention{a, needPlace(a)})
	}
	return nil
}

// needPlace is where somebody looks at what waits.
func needPlace(a engine.Attention) string {
	if a.Invoice != "" {
		return "/payments/" + string(a.Invoice)
	}
	switch a.Need {
	case engine.NeedPartial:
		return "/payments?mark=short&status=3"
	case engine.NeedLate:
		return "/payments?mark=late&status=3"
	case engine.NeedReversed:
		return "/payments?mark=reversed"
	case engine.NeedParked:
		return "/callbacks?pile=parked"
	case engine.NeedFailed, engine.NeedFloat, engine.NeedExcess, engine.NeedAddress, engine.NeedRefund:
		return "/refunds"
	case engine.NeedSettlement:
		return "/settlements"
	case engine.NeedPayout:
		return "/wallet"
	case engine.NeedLetters:
		return "/team"
	case engine.NeedWrong:
	}
	return "/payments"
}

type merchantsPage struct {
	frame
	Places []engine.Place
	MayAdd bool
}

// merchants lists the merchants that somebody works for.
func (d *door) merchants(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := d.merchantsPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "merchants", p)
}

func (d *door) merchantsPage(r *http.Request, v *visit) (merchantsPage, error) {
	places, err := d.Office.Places(r.Context(), v.By)
	mayAdd := v.User.Operator || d.Office.SignUp == engine.SignUpOpen
	return merchantsPage{frame: d.frame(r, v, "merchants.title"), Places: places, MayAdd: mayAdd}, err
}

func (d *door) chooseMerchant(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := d.Office.ChoosePlace(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))); err != nil {
		return err
	}
	return redirect(w, r, "/")
}

func (d *door) addMerchant(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := d.Office.AddPlace(r.Context(), v.By, r.PostForm.Get("name"))
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.merchantsPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "merchants", p)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/", "merchant")
}
